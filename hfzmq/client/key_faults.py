"""What is said to people when peers would not have a client's key.

Touches nothing. Must not know: sockets. Keeps: it names the peer, the file and the next command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hfzmq.client.line import AUTH, MECHANISM, SERVER
from hfzmq.config import Config
from hfzmq.errors import KeysError
from hfzmq.key_section import Keys

UNKNOWN = "unknown"  # nobody has said with which key that peer serves
ROLE = "role"  # the key may not ask for that
BEHIND = "behind"  # it does not accept our key, and by others' word it is about to join, or catches up
_FIRST = (AUTH, ROLE, SERVER, MECHANISM, UNKNOWN, BEHIND)  # which one is told, where peers differ


SHORT = {
    AUTH: "does not accept this key",
    ROLE: "does not allow this key that",
    SERVER: "runs, with another key than peers.yaml lists",
    MECHANISM: "runs, with keys where this side has none, or the reverse",
    UNKNOWN: "runs, with a key that nobody has told",
    BEHIND: "has not caught up, and does not know this key yet",
}  # for a table's cell


def key_fault(config: Config, faults: Mapping[int, str], silent: Sequence[int] = ()) -> KeysError:
    """The error for ``faults`` (peer -> AUTH, SERVER, MECHANISM, UNKNOWN, ROLE), of which there is at least one;
    ``silent``: who did not answer at all."""
    cause, hint = sentence(config.keys, faults, config.path or "peers.yaml")
    away = ", ".join(map(str, silent))
    words = f"; peer{'s' if len(silent) > 1 else ''} {away} do{'' if len(silent) > 1 else 'es'} not answer"
    return KeysError(f"{cause}{words if silent else ''}", hint=hint)


def sentence(keys: Keys | None, faults: Mapping[int, str], path: str = "peers.yaml") -> tuple[str, str]:
    """(what is wrong, what to do next); ``path``: of the configuration."""
    fault, peer = min(((fault, peer) for peer, fault in faults.items()), key=lambda one: (_FIRST.index(one[0]), one[1]))
    own = (keys.own.path if keys is not None and keys.own is not None else "") or "this client's key"
    show = "hfzmq keys show --offline"
    if fault == BEHIND:
        return (
            f"peer {peer} does not know {own} yet: it has not caught up with the others",
            "it learns the key with the rest: hfzmq peer ls shows when it is a voter",
        )
    if fault == AUTH:
        alone = "has that peer caught up (hfzmq peer ls), " if len(faults) == 1 else ""
        return (
            f"peer {peer} does not accept {own}",
            f"is it in force (hfzmq keys show), {alone}and is {path}'s client_port of peer {peer} right? a new key: "
            "hfzmq keys issue",
        )
    if fault == ROLE:
        return f"peer {peer}: {own} does not allow this", f"name another key: --key FILE; which there are: {show}"
    if keys is None:  # a peer with keys lets a plain client's handshake fail in more than one way
        return (
            f"peer {peer} wants a key, and {path} is plain",
            "take that mesh's peers.yaml, and a secret key of it: hfzmq keys show",
        )
    if fault == SERVER and list(faults.values()).count(SERVER) > 1:  # one new key is an operator's; all are a file's
        return (
            f"peer {peer} does not serve with the key that {path} lists for it",
            f"compare {path} with that machine's: {show} on both",
        )
    if fault == SERVER:
        return (
            f"peer {peer} does not serve with the key that {path} lists for it",
            f"is its key the newer? hfzmq keys update; where no other peer answers: on peer {peer}'s machine, "
            f"hfzmq keys issue peer-{peer} --role peer --id {peer} --offline writes that of its own secret; is "
            f"the file's the newer? bring that secret to its machine as keys/peer-{peer}.secret, and restart it",
        )
    if fault == UNKNOWN:
        return f"nobody has said which key peer {peer} serves with", f"list it under keys.peers in {path}: {show}"
    return f"peer {peer} is plain, it has no keys", f"start it with this very file: --config {path}"
