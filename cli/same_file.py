"""Whether the peers run with the same peers.yaml, by what each of them tells of its settings.

Touches nothing. Must not know: sockets, which settings there are. Keeps: only what two peers both tell is compared (a
peer of another version may tell less, a file may list a peer that another does not); what most have is held to be
meant, and where that is nobody's, what the leader has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hfzmq.cli.format import printable

NAMED_MAX = 3  # settings of one peer; the rest are counted
VALUE_CHARS_MAX = 60  # shown; compared whole


def differing(told: Mapping[int, Mapping[str, Any]]) -> dict[int, str]:
    """Of the peers' own words (id -> ``peer`` of its status): who has another file, and in what:
    ``peer 3's peers.yaml differs: timing.lease_ms 5000 against 1000``."""
    files = {peer: settings for peer, said in sorted(told.items()) if (settings := _settings(said))}
    leads = {peer for peer, said in told.items() if said.get("serves") is True}
    names = dict.fromkeys(name for settings in files.values() for name in settings)
    meant = {name: _meant({peer: file[name] for peer, file in files.items() if name in file}, leads) for name in names}
    found: dict[int, str] = {}
    for peer, file in files.items():
        differs = [(name, value, meant[name]) for name, value in file.items() if value != meant[name]]
        odd = [f"{_cut(name)} {_cut(value)} against {_cut(other)}" for name, value, other in differs]
        if odd:
            more = len(odd) - NAMED_MAX
            listed = ", ".join(odd[:NAMED_MAX]) + (f", and {more} more" if more > 0 else "")
            found[peer] = f"peer {peer}'s peers.yaml differs: {listed}"
    return found


def runs_with(file: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether a peer, by its own word, runs with the settings of ``file``, as far as both list them."""
    theirs = _settings(said)
    return bool(theirs) and all(theirs.get(name, text) == text for name, text in _settings({"settings": file}).items())


def _settings(said: Mapping[str, Any]) -> dict[str, str]:
    settings = said.get("settings")
    if not isinstance(settings, Mapping):
        return {}
    return {printable(str(name)): _text(value) for name, value in settings.items()}


def _text(value: object) -> str:
    return printable(repr(value).removesuffix(".0") if isinstance(value, float) else str(value))


def _cut(text: str) -> str:
    """The middle goes: two addresses differ at their ends."""
    half = (VALUE_CHARS_MAX - 3) // 2
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:half]}...{text[-half:]}"


def _meant(values: Mapping[int, str], leads: set[int]) -> str:
    counts = Counter(values.values())
    return max(values.items(), key=lambda one: (counts[one[1]], one[0] in leads, -one[0]))[1]
