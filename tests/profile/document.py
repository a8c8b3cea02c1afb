"""The profile in docs/performance.md, made from its results file, so that no figure there was typed by hand.

    python -m tests.profile.document docs/results/profile.json docs/performance.md

Touches two files. Must not know: how anything is measured. Keeps: only what stands between the marks changes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfzmq.cli.bench.systems import MESH, PLAIN, SKETCH
from tests.profile.parts import ORDER
from tests.profile.record import ROLES
from tests.profile.threads import CARRIERS, LOOP, OTHERS

BEGIN, END = "<!-- profile: make profile -->\n", "<!-- end of profile -->"
NOT_YET = "Not measured yet on this source: `make profile`.\n"
NEVER: Mapping[str, Any] = {"share": 0.0, "cpu_us": None}
OFTEN = 0.005  # of the loop's time: what is rarer everywhere has no row
SHOWN = (MESH, SKETCH)  # of PLAIN the sums alone

SUMS = {LOOP: "**the loop's thread**", CARRIERS: "**ZeroMQ's own threads**", OTHERS: "**other threads**"}


def markdown(told: Mapping[str, Any]) -> str:
    """All tables of a results file."""
    return "\n\n".join([*(_workload(name, found) for name, found in told["workloads"].items()), _where(told)]) + "\n"


def put(text: str, told: Mapping[str, Any] | None) -> str:
    """A document with the profile between its marks; None: there is none yet. ValueError: it has no marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN.strip()} and {END}")
    return f"{before}{begin}\n{NOT_YET if told is None else markdown(told)}\n{end}{after}"


def _workload(name: str, found: Mapping[str, Any]) -> str:
    heads = [f"{name}: CPU us a report"]
    heads += [f"{system}, {role}" for system, role in _columns(found)]
    heads += [f"of the {role}'s time" for role in ROLES] * (MESH in found)
    rows: list[list[object]] = [_part(part, found) for part in ORDER if _is_told(part, found)]
    for kind, words in SUMS.items():
        rows.append([words, *(found[system][role]["threads_cpu_us"][kind] for system, role in _columns(found))])
    rows.append(["**the process**", *(found[system][role]["cpu_us"] for system, role in _columns(found))])
    if PLAIN in found:
        plain = found[PLAIN]
        rows.append(["ZeroMQ's own threads, no keys", *(plain[role]["threads_cpu_us"][CARRIERS] for role in ROLES)])
        rows.append(["the process, no keys", *(plain[role]["cpu_us"] for role in ROLES)])
    return "\n".join(_table(heads, rows))


def _columns(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(system, role) for system in SHOWN if system in found for role in ROLES]


def _is_told(part: str, found: Mapping[str, Any]) -> bool:
    return any(_of(found, system, role, part)["share"] >= OFTEN for system, role in _columns(found))


def _part(part: str, found: Mapping[str, Any]) -> list[object]:
    row: list[object] = [part, *(_of(found, system, role, part)["cpu_us"] for system, role in _columns(found))]
    if MESH in found:
        row += [f"{_of(found, MESH, role, part)['share']:.1%}" for role in ROLES]
    return row


def _of(found: Mapping[str, Any], system: str, role: str, part: str) -> Mapping[str, Any]:
    seen: Mapping[str, Any] = found[system][role]["parts"].get(part, NEVER)
    return seen


def _where(told: Mapping[str, Any]) -> str:
    looks = [one[role]["looks"] for systems in told["workloads"].values() for one in systems.values() for role in ROLES]
    dirty = ", with changes" if told["dirty"] else ""
    return (
        f"{min(looks)} to {max(looks)} looks at each loop. (`{told['command']}`, {told['date']}, commit "
        f"{told['commit'][:10]}{dirty}, source {told['source']}, py-spy {told['py_spy']}, {told['cores']} cores, load "
        f"{told['load_average_1min']:g} at the end, a sync takes {told['disk']['fsync_p50_ms']:g} ms)"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    marks = ["---", *["---:"] * (len(heads) - 1)]
    full = [[*row, *[None] * (len(heads) - len(row))] for row in rows]
    return [f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |" for row in (heads, marks, *full)]


def main(results: str, document: str) -> None:
    """Bring a document up to date."""
    path = Path(document)
    told = json.loads(Path(results).read_text(encoding="utf-8"))
    path.write_text(put(path.read_text(encoding="utf-8"), told), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
