"""Two histories of one mesh: which of the peers' answers to ``status`` belong together.

Touches nothing: answers come in. Must not know: sockets, what is made of it. All disks of a mesh were emptied, it was
begun anew with the same peers.yaml, and an old disk came back: ids, keys and addresses are the same, the data is not.
The peers keep the two apart (daemon/history.py); who asks them all must, too.

Keeps: a peer that says of no history (it holds nothing yet) belongs to whatever the others hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Answer = Mapping[str, Any] | None


def history_in(answer: Answer) -> str | None:
    """The history, in hex, of the peer that answered; None where it says of none."""
    told = _said(answer).get("history")
    return told if isinstance(told, str) and told.isalnum() else None


def that_goes_on(answers: Mapping[int, Answer]) -> str | None:
    """The history of who serves in the highest term; else that of most peers, and of these the longest. None: nobody
    says of one."""
    weights: dict[str, tuple[int, int, int]] = {}
    for answer in answers.values():
        history, said = history_in(answer), _said(answer)
        if history is not None:
            serves, many, last = weights.get(history, (0, 0, 0))
            term = 1 + _number(said, "term") if said.get("serves") is True else 0
            weights[history] = max(serves, term), many + 1, max(last, _number(said, "last_index"))
    return max(weights, key=lambda history: (*weights[history], history), default=None)


def followed(before: str | None, answers: Mapping[int, Answer]) -> str | None:
    """The history that whoever watches the mesh goes on with: of who leads; where nobody does, the one that was
    followed ``before``, whoever answers just now."""
    leading = {peer: answer for peer, answer in answers.items() if _said(answer).get("serves") is True}
    return that_goes_on(leading) or before or that_goes_on(answers)


def of_another(history: str | None, answers: Mapping[int, Answer]) -> set[int]:
    """The peers that say of another history than this one."""
    return {peer for peer, answer in answers.items() if history_in(answer) not in (None, history)}


def apart(answers: Mapping[int, Answer]) -> dict[int, str]:
    """The peers whose history is not the one that goes on, and which they hold."""
    main = that_goes_on(answers)
    found = {peer: history_in(answer) for peer, answer in answers.items()}
    return {peer: history for peer, history in found.items() if history is not None and history != main}


def _said(answer: Answer) -> Mapping[str, Any]:
    said = (answer or {}).get("peer")
    return said if isinstance(said, Mapping) else {}


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    return value if type(value) is int else 0
