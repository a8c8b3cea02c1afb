"""The keys of this machine: who else can read or replace them, and whether they are in force.

Touches the directories of keys, peers.yaml's list and, through client.ask, what the mesh says is in force. Must not
know: what a daemon was given by systemd (that copy is its own). Keeps: no secret is shown; of a key that the file does
not list nothing is said to be so, and nothing bidden, unless the mesh tells it: what was issued through the mesh stands
in its log alone.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hfzmq.access import PEER, AccessList, fingerprint, name_of_peer
from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding
from hfzmq.cli.key_words import judged, merged
from hfzmq.cli.mesh_words import issue_for
from hfzmq.config import Config
from hfzmq.errors import HfzmqError
from hfzmq.key_section import Keys
from hfzmq.secret_files import SUFFIX, SecretFile, secret_files

TIMEOUT_MS = 1000
PUBLIC = (".pub", ".yaml", ".yml", ".txt", ".md")
OTHERS_READ, OTHERS_WRITE = 0o077, 0o022
UNTOLD = " (by the file alone: the mesh told nothing)"
UNLED = " (nobody leads: the last changes may be missing)"
IN_THE_LOG = "a key that was issued through the mesh stands in its log, and in no file"


def look(config: Config | None, directories: Iterable[Path], here: Iterable[int]) -> Iterator[Finding]:
    """The keys in ``directories``, and those that ``config`` lists. ``here``: the peers of this machine."""
    once: dict[Path, Path] = {}  # one directory may be named in two ways
    for place in directories:
        once.setdefault(place.resolve(), place)
    places = [place for place in once.values() if place.is_dir()]
    for place in places:
        yield from modes(place)
    found = [one for place in places for one in secret_files(place)]
    for one in found:
        if one.fault and not one.mode & OTHERS_READ:  # those that others can read were told
            yield Finding(WARNING, "keys", one.fault, "whoever is to use it cannot", f"ls -l {one.path}")
    if config is None:
        return
    if config.keys is None:
        told = f"{config.path} is plain: no keys, nothing is encrypted; it holds for loopback addresses only"
        yield Finding(NOTE, "keys", told, "over a network keys are needed", f"hfzmq keys init --config {config.path}")
        return
    from hfzmq.client.ask import ask_all
    from hfzmq.client.ask_keys import ask_keys
    from hfzmq.wire.members import newest, with_members

    served: dict[int, str] = {}
    with suppress(HfzmqError):  # why the mesh is not reached, another part says
        answers = ask_all(config, "status", timeout_ms=TIMEOUT_MS, served=served).values()
        mesh, led = newest(answers), any((one or {}).get("peer", {}).get("serves") is True for one in answers)
        known = ask_keys(with_members(config, mesh), TIMEOUT_MS, served)
        if mesh is not None and known:
            members = [one.id for one in mesh.members] if mesh.founded else list(config.peer_ids)
            yield from in_force(config, config.keys, found, list(here), known[0], members, led)
            for words in judged(config.keys, config.path, members, served, dict(mesh.keys), merged(known)):
                why = "who starts anew, or asks it alone, knows it by that file"
                yield Finding(WARNING, "keys", words.what, why, words.do)
            return
    yield from in_force(config, config.keys, found, list(here), None)


def modes(directory: Path) -> Iterator[Finding]:
    """Secret keys are for their user alone."""
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & OTHERS_WRITE:
        why = "whoever can write here can give a peer another key"
        yield Finding(CRITICAL, "keys", f"{directory} has mode {mode:o}", why, f"chmod 700 {directory}")
    secrets = [path for path in sorted(directory.iterdir()) if path.is_file() and not path.name.endswith(PUBLIC)]
    wrong = [(path, bits) for path in secrets if (bits := stat.S_IMODE(path.stat().st_mode)) & OTHERS_READ]
    for path, bits in wrong:
        told = f"{path} has mode {bits:o}"
        why = "who can read a secret key can speak in its name; with this mode it is not used"
        do = f"chmod 600 {path}; and if others were on this machine: hfzmq keys issue, then hfzmq keys revoke"
        yield Finding(CRITICAL, "keys", told, why, do)
    if secrets and not wrong and not mode & OTHERS_WRITE:
        yield Finding(OK, "keys", f"{directory}: {len(secrets)} files, for their user alone")


def in_force(
    config: Config,
    keys: Keys,
    found: Iterable[SecretFile],
    here: list[int],
    told: AccessList | None,
    members: Collection[int] | None = None,
    led: bool = True,
) -> Iterator[Finding]:
    """Whether the secrets that were ``found`` and the peers' keys are in force. ``told``: what the mesh says, None
    where it does not answer; ``members``: who needs a key, None for all peers of the file; ``led``: somebody leads, so
    that whoever answers has heard of all keys."""
    more = told or AccessList()
    access = AccessList([*keys.listed(), *more.listed.values()], {*keys.revoked, *more.revoked})
    by = UNTOLD if told is None else "" if led else UNLED
    well = True
    needed = config.peer_ids if members is None else members
    for peer in needed:
        if access.key_of(peer) is None:
            well = False
            do = f"{issue_for(peer)}; bring it there as keys/{name_of_peer(peer)}.secret, restart that peer"
            if by:
                what = f"not known whether peer {peer} has a key in force{by}"
                do = f"when the mesh answers: hfzmq doctor; had it never one: {do}"
                yield Finding(NOTE, "keys", what, IN_THE_LOG, do)
            else:
                yield Finding(WARNING, "keys", f"peer {peer} has no key in force", "nobody lets it in", do)
    usable = [one for one in found if one.public]
    for one in usable:
        finding = _of_one(one, access, [peer for peer in here if peer in needed], by, usable)
        if finding is not None:
            well = False
            yield finding
    for peer in here:
        if not any(one.name == name_of_peer(peer) for one in found):
            do = f"bring it, or start peer {peer} with --key FILE; under systemd it has a copy of its own"
            yield Finding(NOTE, "keys", f"keys/{name_of_peer(peer)}{SUFFIX} is not here", "", do)
    if well:
        yield Finding(OK, "keys", f"each peer has a key in force, and so has each of {len(usable)} files{by}")


def _of_one(
    one: SecretFile, access: AccessList, here: list[int], by: str, others: Sequence[SecretFile]
) -> Finding | None:
    """``here``: the peers of this machine that need a key."""
    mine = next((peer for peer in here if name_of_peer(peer) == one.name), 0)
    severity = CRITICAL if mine else WARNING
    away = f"mv {one.path} {one.path}.old"
    newer = access.key_of(mine) if mine else None
    issue, there = f"hfzmq keys issue NAME --role peer --id {mine}", ""
    if newer and newer != one.public:
        lies = (str(two.path) for two in others if two.public == newer)
        there = next(lies, f"the secret key of {fingerprint(newer)}")
        issue = f"cp {there} {one.path}: that key is in force for peer {mine}"
    if one.public in access.revoked:
        why = f"peer {mine} does not start with it" if mine else "whoever uses it gets no answer"
        do = f"{away}; {issue}" if mine else f"{away}; a new one only if somebody still needs it: hfzmq keys issue"
        return Finding(severity, "keys", f"{one.path} is revoked{by}", why, do)
    owner = access.of(one.public)
    if owner is None and by:
        other = f", and {there} is another of peer {mine}" if there else ""
        what = f"{one.path}: not known whether this key is in force{other}{by}"
        return Finding(NOTE, "keys", what, IN_THE_LOG, "leave it there; when the mesh answers: hfzmq keys show")
    if owner is None:
        why = "whoever uses it gets no answer"
        do = (
            f"{away}; {issue}"
            if mine and newer
            else f"hfzmq keys show; {issue}"
            if mine
            else f"hfzmq keys show; {away}"
        )
        return Finding(severity, "keys", f"{one.path}: nobody lists this key", why, do)
    if mine and (owner.role, owner.peer) != (PEER, mine):
        why = f"peer {mine} does not start with it"
        return Finding(CRITICAL, "keys", f"{one.path}: this is the key of {owner.name}", why, "bring the right one")
    return None
