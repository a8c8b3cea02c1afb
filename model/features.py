"""The five features, and the cohort a model learns from: a CSV on disk, or seeded made-up text of the same columns.

Touches one file, when asked to read it. Must not know: the network, keras, the mesh. Keeps: one order of features, the
same as the VITALS of a report; a Cohort that exists has five finite values inside the clinical bounds in every row,
both outcomes, and the sha256 of the bytes it came from. A file is refused with its name, line, column and bound.

Data: Ahmad et al., PLoS ONE 12(7): e0181001, 2017; Chicco and Jurman, BMC Med Inform Decis Mak 20:16, 2020; UCI data
set 519, CC BY 4.0. The rows are sorted by follow-up time: any split must be shuffled.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.report import VITALS
from hfzmq.errors import InvalidInput, NotFound

FEATURES = tuple(vital.name for vital in VITALS)  # age, serum_sodium, serum_creatinine, ejection_fraction, day
UNITS = tuple(vital.unit for vital in VITALS)
SIGNS = (1, -1, 1, -1, -1)  # +1: risk rises with it; -1: risk falls
DAY = FEATURES.index("day")

# ``time`` ends at death or censoring, so a small day is itself the outcome. The guarded number holds the day here.
DAY_FLOOR = 100

PUBLISHED_SHA256 = "9c73cea7468ff5d517801ec050fe9993da5912fce4b56f296f8df3b38dd75912"
COLUMNS = (
    "age", "anaemia", "creatinine_phosphokinase", "diabetes", "ejection_fraction", "high_blood_pressure", "platelets",
    "serum_creatinine", "serum_sodium", "sex", "smoking", "time", "DEATH_EVENT",
)  # fmt: skip
OUTCOME = "DEATH_EVENT"

DATA_BYTES_MAX = 16 << 20
ROWS_MIN = 60
ROWS_MAX = 100_000
EACH_OUTCOME_MIN = 10

_COLUMN_OF = dict(zip(FEATURES, (*FEATURES[:-1], "time"), strict=True))


class Cohort(NamedTuple):
    """Patients of one study, in the order of the file.

    ``x``: (n, 5) float64 in the order of FEATURES and the units of UNITS; ``died``: (n,) float64, 1.0 where the patient
    died at ``day``, 0.0 where follow-up ended; ``sha256`` of the file's bytes; ``name`` says where it came from.
    """

    x: NDArray[np.float64]
    died: NDArray[np.float64]
    sha256: str
    name: str

    @property
    def published(self) -> bool:
        """True when the bytes are those of the published data set."""
        return self.sha256 == PUBLISHED_SHA256

    @property
    def origin(self) -> str:
        """One line for people: what these rows are."""
        return "the published data set" if self.published else "not the published data set"


def load_cohort(path: Path) -> Cohort:
    """Read a CSV with the published columns (more are ignored, any order).

    NotFound when there is no such file; InvalidInput names file, line, column and bound. Another file than the
    published one is read all the same: ``published`` tells.
    """
    return read_cohort(path)[1]


def read_cohort(path: Path) -> tuple[bytes, Cohort]:
    """The bytes of a CSV and the cohort in them; errors as ``load_cohort``."""
    try:
        if path.stat().st_size > DATA_BYTES_MAX:
            raise InvalidInput(str(path), f"at most {DATA_BYTES_MAX} bytes")
        content = path.read_bytes()
    except OSError as error:
        hint = "hfzmq model data fetches it, where there is internet: UCI data set 519"
        raise NotFound(f"{path}: {error.strerror or error}", hint=hint) from None
    return content, parse_cohort(content, str(path))


def parse_cohort(content: bytes, name: str) -> Cohort:
    """The cohort in the bytes of a CSV; ``name`` is used in errors. InvalidInput as ``load_cohort``."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(name, "UTF-8 text", hint="a CSV, not a spreadsheet") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(_rows(lines, name))
    except csv.Error as error:
        raise InvalidInput(f"{name}, line {lines.line_num}", f"comma-separated values: {error}") from None
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES) + 1)
    died = table[:, -1]
    if len(rows) < ROWS_MIN:
        raise InvalidInput(name, f"at least {ROWS_MIN} patients", got=len(rows))
    if min(died.sum(), len(rows) - died.sum()) < EACH_OUTCOME_MIN:
        raise InvalidInput(f"{name}, column {OUTCOME}", f"at least {EACH_OUTCOME_MIN} patients with each outcome")
    constant = [column for feature, column in _COLUMN_OF.items() if np.ptp(table[:, FEATURES.index(feature)]) == 0]
    if constant:
        raise InvalidInput(f"{name}, column {constant[0]}", "values that differ", got=float(table[0, 0]))
    return Cohort(np.ascontiguousarray(table[:, :-1]), died.copy(), hashlib.sha256(content).hexdigest(), name)


def synthetic_csv(n: int = 299, seed: int = 0) -> str:
    """A CSV of ``n`` made-up patients with the published columns and the signs of SIGNS, sorted by ``time`` like the
    real file; the same seed gives the same bytes.

    Survival times are exponential with a hazard that rises with age and creatinine and falls with sodium and ejection
    fraction; follow-up ends by chance between 4 and 285 days. It resembles no patient.
    """
    rng = np.random.default_rng(seed)
    age = rng.uniform(40, 95, n).round()
    sodium = rng.normal(136.6, 4.4, n).clip(113, 148).round()
    creatinine = rng.lognormal(0.2, 0.5, n).clip(0.5, 9.4).round(1)
    ejection = rng.normal(38, 12, n).clip(14, 80).round()
    log_hazard = -6.4 + (age - 61) / 20 + (136.6 - sodium) / 8 + np.log(creatinine / 1.2) * 1.4 + (38 - ejection) / 14
    death = rng.exponential(np.exp(-log_hazard)) + 4
    end = rng.uniform(4, 285, n)
    time = np.minimum(death, end).round()
    filler = rng.integers(0, 2, (n, len(COLUMNS)))  # the columns that no model here reads
    cells = {
        "age": age, "serum_sodium": sodium, "serum_creatinine": creatinine, "ejection_fraction": ejection,
        "time": time, OUTCOME: (death <= end).astype(float),
    }  # fmt: skip
    rows = [",".join(COLUMNS)]
    for i in np.argsort(time, kind="stable"):
        rows.append(",".join(f"{cells[c][i]:g}" if c in cells else str(filler[i, k]) for k, c in enumerate(COLUMNS)))
    return "\n".join(rows) + "\n"


def _rows(lines: Iterator[list[str]], name: str) -> Iterator[list[float]]:
    """Each patient as five features and the outcome, checked cell by cell."""
    header = [cell.strip() for cell in next(lines, [])]
    wanted = (*_COLUMN_OF.values(), OUTCOME)
    for column in wanted:
        if header.count(column) != 1:
            found = "missing" if column not in header else "given twice"
            raise InvalidInput(f"{name}, line 1", f"a column {column}: {found}", hint="columns: " + ", ".join(COLUMNS))
    places = [header.index(column) for column in wanted]
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        if number > ROWS_MAX + 1:
            raise InvalidInput(name, f"at most {ROWS_MAX} patients")
        if len(cells) != len(header):
            raise InvalidInput(f"{name}, line {number}", f"{len(header)} values", got=len(cells))
        row = []
        for vital, place in zip(VITALS, places, strict=False):
            value = _number(cells[place])
            if not vital.low <= value <= vital.high:  # NaN fails this too
                where = f"{name}, line {number}, column {header[place]}"
                raise InvalidInput(where, f"{vital.low:g} to {vital.high:g} {vital.unit}", got=cells[place])
            row.append(value)
        outcome = _number(cells[places[-1]])
        if outcome not in (0.0, 1.0):
            raise InvalidInput(f"{name}, line {number}, column {OUTCOME}", "0 or 1", got=cells[places[-1]])
        yield [*row, outcome]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
