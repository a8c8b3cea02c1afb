"""The published data set: where it comes from, and its bytes, however it was fetched.

Touches the network when asked to fetch. Must not know: models. Keeps: the same patients give the same bytes (published
order of columns, whole numbers without a point), so that one sha256 tells whether these are the published rows.

UCI Machine Learning Repository, data set 519, DOI 10.24432/C5Z89R, CC BY 4.0. ``URL`` is the file that UCI's own
package ``ucimlrepo`` reads for ``fetch_ucirepo(id=519)``; asking for it directly needs no pandas.
"""

from __future__ import annotations

import csv
import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hfzmq.errors import HfzmqError, InvalidInput
from hfzmq.model.features import COLUMNS, DATA_BYTES_MAX

URL = "https://archive.ics.uci.edu/static/public/519/data.csv"
ATTRIBUTION = (
    "Heart failure clinical records, UCI data set 519, DOI 10.24432/C5Z89R, CC BY 4.0; Ahmad et al., PLoS ONE 12(7): "
    "e0181001, 2017; Chicco and Jurman, BMC Med Inform Decis Mak 20:16, 2020"
)
TIMEOUT_S = 30

Fetch = Callable[[str], bytes]


def fetch(url: str = URL) -> bytes:
    """What lies at ``url``. HfzmqError when it cannot be reached or is too large."""
    hint = "no internet here? fetch UCI data set 519 elsewhere and pass the file: hfzmq model train --data hf.csv"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(DATA_BYTES_MAX + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise HfzmqError(f"cannot fetch {url}: {getattr(error, 'reason', error)}", hint=hint) from None
    if len(content) > DATA_BYTES_MAX:
        raise HfzmqError(f"{url} is larger than {DATA_BYTES_MAX} bytes", hint=hint)
    return content


def canonical(content: bytes, name: str) -> bytes:
    """The CSV ``content`` (any order and case of columns) in the published form. InvalidInput names ``name``, line and
    column."""
    table = published_table(content, name)
    rows = [",".join(COLUMNS)]
    rows += [",".join(str(int(v)) if v.is_integer() else repr(v) for v in row) for row in table.tolist()]
    return ("\n".join(rows) + "\n").encode()


def published_table(content: bytes, name: str) -> NDArray[np.float64]:
    """(n, 13) in the order of COLUMNS. InvalidInput as ``canonical``."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise InvalidInput(name, "comma-separated values in UTF-8") from None
    found = [cell.strip().lower() for cell in lines[0]] if lines else []
    missing = [column for column in COLUMNS if found.count(column.lower()) != 1]
    if missing:
        raise InvalidInput(f"{name}, line 1", f"a column {missing[0]}, once", hint="columns: " + ", ".join(COLUMNS))
    places = [found.index(column.lower()) for column in COLUMNS]
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if not cells:
            continue
        try:
            row = [float(cells[place]) for place in places]
        except (ValueError, IndexError):
            row = []
        if not row or not np.isfinite(row).all():
            raise InvalidInput(f"{name}, line {number}", f"a number in each of {len(COLUMNS)} columns")
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(COLUMNS))


def sha256(content: bytes) -> str:
    """Of bytes, hex."""
    return hashlib.sha256(content).hexdigest()
