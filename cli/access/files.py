"""Keys without a mesh: pairs made here, public keys into peers.yaml.

Touches secret files and peers.yaml. Must not know: sockets. Keeps: the secret key is on synced disk before the public
one stands anywhere; peers.yaml is replaced whole or not at all; what was interrupted can be run again.
"""

from __future__ import annotations

from pathlib import Path

from hfzmq.access import ADMIN, CLIENT, PEER, Listed, fingerprint, is_key, name_of_peer
from hfzmq.config import Config, load, read
from hfzmq.errors import KeysError, NotFound
from hfzmq.key_edit import with_entry, with_section
from hfzmq.key_section import Keys, OwnKey
from hfzmq.secret_files import ADMIN_NAME, SUFFIX, WARD_NAME, read_secret, replace_text, write_secret

Made = tuple[str, str, str, str]  # file, role, fingerprint, a word

SECTION_OF = {PEER: "peers", ADMIN: "admins", CLIENT: "clients"}


def initialise(config_path: str, directory: Path) -> list[Made]:
    """Pairs for all peers, an admin and a client, into ``directory``; public keys into the file. KeysError: it has keys
    already, or a file cannot be written."""
    config = load(config_path, unkeyed_is_fine=True)
    if config.keys is not None:
        raise KeysError(
            f"{config_path} has keys already",
            hint="one more: hfzmq keys issue NAME --role client; all: hfzmq keys show",
        )
    made: list[Made] = []

    def pair(name: str, role: str) -> str:
        path = directory / f"{name}{SUFFIX}"
        kept = is_there(path)
        own = secret_of(path, name, role)
        made.append((str(path), role, fingerprint(own.public), "was there, kept" if kept else ""))
        return own.public

    keys = Keys(
        tuple((peer, pair(name_of_peer(peer), PEER)) for peer in config.peer_ids),
        ((ADMIN_NAME, pair(ADMIN_NAME, ADMIN)),),
        ((WARD_NAME, pair(WARD_NAME, CLIENT)),),
    )
    _write(config_path, with_section(read(config_path), config_path, keys))
    return made


def secret_of(path: Path, name: str, role: str) -> OwnKey:
    """The pair of a secret file; a new one where there is no file."""
    return read_secret(path) if is_there(path) else write_secret(path, name, role)


def is_there(path: Path) -> bool:
    """Whether there is such a secret file; KeysError where nobody may look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise KeysError(
            f"{path}: a secret key cannot be kept there: {error.strerror}",
            hint=f"whose is it? ls -ld {path.parent}; be that user, or name another place: --dir DIR",
        ) from None
    return True


def issue_into_file(config_path: str, where: Path, name: str, role: str, peer: int) -> OwnKey:
    """A pair in ``where``, its public key in the file."""
    config = load(config_path)
    keys = keys_of(config)
    if role != PEER:
        refuse_taken(name, keys.listed())
    own = secret_of(where, name, role)
    refuse_listed(own, keys.listed(), keys.revoked)
    entry = str(peer) if role == PEER else name
    _write(config_path, with_entry(read(config_path), config_path, SECTION_OF[role], own.public, entry))
    return own


def to_revoke(config_path: str, who: str, last_admin: bool) -> tuple[str, int]:
    """The key of the file that ``who`` means, and the peer that it leaves without one there, 0 for none. NotFound;
    KeysError where it must not be revoked."""
    config = load(config_path)
    keys = keys_of(config)
    key = found(who, keys.listed())
    if key in keys.revoked:
        raise KeysError(f"{who} is revoked already", hint="see all: hfzmq keys show")
    if not last_admin:
        refuse_last_admin(key, keys.listed(), keys.revoked)
    cut = lists_for(config, key)
    if cut not in config.peer_ids:
        return key, 0
    # Of a peer that the file lists no key for, the mesh may have one.
    without = [peer for peer, listed in keys.peers if peer in config.peer_ids and listed in (*keys.revoked, key)]
    many, left = len(config.peers), len(config.peers) - len(without)
    if left < many // 2 + 1:
        raise KeysError(
            f"{config_path}: only {left} of {many} peers would have a key left: the mesh would stop",
            hint="first a new key for each that has none (hfzmq keys issue peer-N-new --role peer --id N --offline), "
            "brought to its machine as keys/peer-N.secret, and that peer restarted",
        )
    return key, cut


def revoke_in_file(config_path: str, key: str) -> None:
    """Put a key on the file's list of revoked ones."""
    _write(config_path, with_entry(read(config_path), config_path, "revoked", key))


def update_file(config_path: str, served: dict[int, str]) -> list[tuple[int, str, str]]:
    """Have the file list the key that each peer is ``served`` with, by its id; (peer, the key, the one before or '') of
    those that it did not list. One that the file itself revokes is left out."""
    keys = keys_of(load(config_path))
    changed = []
    text = read(config_path)
    for peer, key in sorted(served.items()):
        before = dict(keys.peers).get(peer, "")
        if key != before and key not in keys.revoked:
            text = with_entry(text, config_path, SECTION_OF[PEER], key, str(peer))
            changed.append((peer, key, before))
    if changed:
        _write(config_path, text)
    return changed


def lists_for(config: Config, key: str) -> int:
    """The peer that the file lists ``key`` for; 0 for none."""
    return next((peer for peer, listed in config.keys.peers if listed == key), 0) if config.keys else 0


def keys_of(config: Config) -> Keys:
    """The keys of a file; KeysError where it is plain."""
    if config.keys is None:
        raise KeysError(f"{config.path} is plain: it has no keys", hint=f"hfzmq keys init --config {config.path}")
    return config.keys


def found(who: str, listed: list[Listed]) -> str:
    """The public key that ``who`` (a name, or a key) means; NotFound."""
    if is_key(who):
        return who
    named = list(dict.fromkeys(one.key for one in listed if one.name == who))
    if not named:
        known = ", ".join(sorted({one.name for one in listed}))
        raise NotFound(f"no key is called {who}", hint=f"there are: {known}; all of them: hfzmq keys show")
    if len(named) > 1:
        raise KeysError(f"{len(named)} keys are called {who}", hint="name the key itself: hfzmq keys show -o json")
    return named[0]


def refuse_taken(name: str, listed: list[Listed]) -> None:
    """KeysError where somebody else has that name."""
    if any(one.name == name for one in listed):
        raise KeysError(f"a key is called {name} already", hint="another name; all of them: hfzmq keys show")


def refuse_listed(own: OwnKey, listed: list[Listed], revoked: tuple[str, ...] | frozenset[str]) -> None:
    """KeysError where the pair of a file that was there is known or out of force."""
    if own.public in revoked:
        raise KeysError(
            f"{own.path}: this key was revoked, which is for ever", hint=f"move it away: mv {own.path} {own.path}.old"
        )
    if any(one.key == own.public for one in listed):
        raise KeysError(f"{own.path}: this key is issued already", hint="see it: hfzmq keys show")


def refuse_last_admin(key: str, listed: list[Listed], revoked: tuple[str, ...] | frozenset[str]) -> None:
    """KeysError where nobody could issue or revoke a key afterwards."""
    admins = {one.key: one.name for one in listed if one.role == ADMIN and one.key not in revoked}
    if key in admins and len(admins) == 1:
        raise KeysError(
            f"{admins[key]}: this is the only admin's key",
            hint="first another one: hfzmq keys issue admin-2 --role admin; or with --last-admin",
        )


def _write(config_path: str, text: str) -> None:
    try:
        replace_text(Path(config_path), text)
    except OSError as error:
        where = Path(config_path).parent
        raise KeysError(
            f"{config_path} cannot be written: {error.strerror}",
            hint=f"it is as it was; secret keys that were made are kept. Room? df -h {where}; rights? ls -ld {where} "
            f"{config_path}; then the same again",
        ) from None
