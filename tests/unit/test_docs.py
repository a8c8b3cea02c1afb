"""Docs that show results show those of the results files."""

from __future__ import annotations

import json

from tests.provenance import ROOT
from tests.simulation.planted import table


def test_the_table_of_planted_bugs_is_that_of_the_results() -> None:
    told = json.loads((ROOT / "docs" / "results" / "planted.json").read_text())
    shown = table(told)
    text = (ROOT / "docs" / "simulation.md").read_text()
    assert shown in text, "print it anew: python -m tests.simulation.planted --table docs/results/planted.json"
