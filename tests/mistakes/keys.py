"""Mistakes with keys, where nobody need be asked."""

from __future__ import annotations

from hfzmq.secret_files import write_secret
from tests.mistakes.bench import Bench, Made, rights_stay, without_rights
from tests.mistakes.chapter import Chapter

CHAPTER = Chapter("Keys")
mistake = CHAPTER.mistake
PEER_1 = ("serve", "--id", 1, "--data-dir", "data")


@mistake("no keys were brought to this machine", 7, "keys/admin.secret")
def none(at: Bench) -> Made:
    (at.folder / "keys").rename(at.folder / "elsewhere")
    return at.hfzmq("status")


@mistake("the peer's secret was not brought", 7, "keys/peer-1.secret")
def no_peers_secret(at: Bench) -> Made:
    (at.folder / "keys" / "peer-1.secret").unlink()
    return at.process(*PEER_1)


@mistake("a secret that others may read", 7, "keys/admin.secret", "0644")
def open_to_all(at: Bench) -> Made:
    (at.folder / "keys" / "admin.secret").chmod(0o644)
    return at.hfzmq("status")


@mistake("the secret of another peer", 7, "keys/peer-2.secret", "peer-2", "peer 1")
def other_peers(at: Bench) -> Made:
    return at.process(*PEER_1, "--key", "keys/peer-2.secret")


@mistake("a client's secret for a daemon", 7, "keys/ward.secret", "ward", "peer 1")
def wards(at: Bench) -> Made:
    return at.process(*PEER_1, "--key", "keys/ward.secret")


@mistake("an admin's secret for a daemon, which peers.yaml does not list", 7, "keys/night.secret", "admin", "peer 1")
def admins_elsewhere(at: Bench) -> Made:
    at.environment["HFZMQ_KEY"] = "keys/night.secret"
    write_secret(at.folder / "keys" / "night.secret", "night", "admin")  # as hfzmq keys issue through the mesh makes it
    return at.process(*PEER_1)


@mistake("a peer's key that peers.yaml revokes", 7, "keys/peer-1.secret", "peer 1", "revoked")
def revoked_peer(at: Bench) -> Made:
    at.hfzmq("keys", "revoke", "peer-1", "--offline", "--yes")
    return at.process(*PEER_1)


@mistake("peers.yaml given as the key", 7, "peers.yaml", "not a secret key")
def no_secret(at: Bench) -> Made:
    at.file.chmod(0o600)
    return at.hfzmq("status", "--key", "peers.yaml")


@mistake("a device given as the key", 7, "/dev/null", "a device, no file")
def device(at: Bench) -> Made:
    return at.hfzmq("status", "--key", "/dev/null")


@mistake("a key file that is not there", 7, "keys/adnim.secret")
def misspelt(at: Bench) -> Made:
    return at.hfzmq("status", "--key", "keys/adnim.secret")


@mistake("half of a secret file changed by hand", 7, "keys/admin.secret", "does not belong")
def halves(at: Bench) -> Made:
    mine = at.folder / "keys" / "admin.secret"
    other = (at.folder / "keys" / "ward.secret").read_text()
    public = next(line for line in other.splitlines() if line.startswith("public"))
    lines = [public if line.startswith("public") else line for line in mine.read_text().splitlines()]
    mine.write_text("\n".join(lines) + "\n")
    return at.hfzmq("status")


@mistake("a secret file of another user", 7, "keys/admin.secret", skip=rights_stay)
def unreadable(at: Bench) -> Made:
    (at.folder / "keys" / "admin.secret").chmod(0)
    (at.folder / "keys" / "ward.secret").unlink()
    for secret in (at.folder / "keys").glob("peer-*"):
        secret.unlink()
    return at.process("status", within=without_rights())


@mistake("keys made twice", 7, "peers.yaml", "has keys already")
def twice(at: Bench) -> Made:
    return at.hfzmq("keys", "init")


@mistake("a name that is taken", 7, "ward")
def taken(at: Bench) -> Made:
    return at.hfzmq("keys", "issue", "ward", "--role", "client", "--offline")


@mistake("a name with a space", 6, "NAME", "bed 9")
def name(at: Bench) -> Made:
    return at.hfzmq("keys", "issue", "bed 9", "--role", "client", "--offline")


@mistake("a peer's key without its id", 2, "--id")
def no_id(at: Bench) -> Made:
    return at.hfzmq("keys", "issue", "peer-4", "--role", "peer", "--offline")


@mistake("a role that there is not", 2, "--role", "nurse")
def role(at: Bench) -> Made:
    return at.hfzmq("keys", "issue", "bed-9", "--role", "nurse")


@mistake("a key to revoke that nobody has", 5, "bed-9")
def revoke_nobody(at: Bench) -> Made:
    return at.hfzmq("keys", "revoke", "bed-9", "--offline")


@mistake("the last admin's key revoked", 7, "only admin's key")
def last_admin(at: Bench) -> Made:
    return at.hfzmq("keys", "revoke", "admin", "--offline")


@mistake("revoked twice", 7, "ward", "revoked already")
def revoked_twice(at: Bench) -> Made:
    at.hfzmq("keys", "revoke", "ward", "--offline")
    return at.hfzmq("keys", "revoke", "ward", "--offline")


@mistake("keys for a mesh that is plain", 7, "peers.yaml", "plain")
def plain(at: Bench) -> Made:
    at.file.write_text(at.file.read_text().partition("\nkeys:")[0] + "\nsecurity: plain\n")
    return at.hfzmq("keys", "issue", "bed-9", "--role", "client")
