"""The verdict on what the peers' files hold, against what the clients say: row by row, all files side by side.

Touches nothing by itself: rows and accounts come in. Must not know: processes, SQLite. Keeps: every row of every file
is looked at; one report counts once for each fault, however many files have it; files of any length are read in step,
so that memory holds one byte for each report and file, and no row.

What must hold: each acknowledged report is in every file that ought to be whole, once, in its client's order, with the
values that were sent, at the log index that the ack named; nothing is there that nobody sent; ids run 1, 2, 3, ...; all
files hold the same rows under the same ids, and a file that ends early (its peer is dead or was removed) is a true
beginning of the others. What a later entry may still change in a row is left out by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from hfzmq.cli.scenario.account import COMPARED, Account

EXAMPLES_MAX = 3  # of each fault, in words

Row = tuple[Any, ...]


class Holding(NamedTuple):
    """One peer's rows, in the order of ids. ``whole``: it had caught up with all others when it ended, so it must hold
    everything; else a true beginning is enough."""

    peer_id: int
    fields: tuple[str, ...]
    rows: Iterable[Row]
    whole: bool = True


class Findings(NamedTuple):
    """What was found, counted in reports. ``stored``: the rows of each file.

    ``lost``: acknowledged, and not in every whole file (where no file is whole: in none at all); ``doubled``: more than
    once in some file; ``out_of_order``: after a later one of the same client; ``skipped``: not stored, though a later
    one of its client is; ``strangers``: stored, and sent by nobody; ``altered``: stored with other values than were
    sent; ``misplaced``: at another log index than the ack named; ``differing``: ids under which two files hold
    different rows, or a whole file holds none. ``examples``: the first of each, in words.
    """

    sent: int
    acked: int
    stored: tuple[tuple[int, int], ...]
    lost: int
    doubled: int
    out_of_order: int
    skipped: int
    strangers: int
    altered: int
    misplaced: int
    differing: int
    examples: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether all of it holds."""
        return not any(self[FAULTS_FROM:FAULTS_TO])


FAULTS_FROM, FAULTS_TO = Findings._fields.index("lost"), Findings._fields.index("examples")


def check(holdings: Sequence[Holding], accounts: Sequence[Account]) -> Findings:
    """Compare all files with each other and with what the clients say."""
    faults = _Faults()
    owners = {patient: account for account in accounts for patient in account.patients}
    books = [_Book(holding, owners, faults) for holding in holdings]
    for expected_id, row in enumerate(zip_longest(*(holding.rows for holding in holdings)), 1):
        _compare(expected_id, row, holdings, faults)
        for book, mine in zip(books, row, strict=True):
            if mine is not None:
                book.take(expected_id, mine)
    for account in accounts:
        _look_for_missing(account, books, faults)
    return Findings(
        sent=sum(account.sent for account in accounts),
        acked=sum(account.acked for account in accounts),
        stored=tuple((book.peer_id, book.rows) for book in books),
        examples=tuple(faults.examples),
        **{kind: len(found) for kind, found in faults.found.items()},
    )


class _Faults:
    """Each kind of fault: the reports (or ids) that have it, each once, and the first few in words."""

    def __init__(self) -> None:
        self.found: dict[str, set[object]] = {name: set() for name in Findings._fields[FAULTS_FROM:FAULTS_TO]}
        self.examples: list[str] = []

    def add(self, kind: str, which: object, words: str) -> None:
        found = self.found[kind]
        if which not in found and len(found) < EXAMPLES_MAX:
            self.examples.append(f"{kind.replace('_', ' ')}: {words}")
        found.add(which)


class _Book:
    """What one file holds of each client's reports."""

    def __init__(self, holding: Holding, owners: Mapping[str, Account], faults: _Faults) -> None:
        self.peer_id = holding.peer_id
        self.whole = holding.whole
        self.rows = 0
        self.has: dict[str, bytearray] = {}  # client: for each number whether it is there
        self.last: dict[str, int] = {}  # client: the highest number so far
        self._owners = owners
        self._faults = faults
        fields = holding.fields
        self._patient, self._timestamp = fields.index("patient_id"), fields.index("timestamp")
        self._id, self._index = fields.index("id"), fields.index("log_index")
        self._compared = [fields.index(name) for name in COMPARED]

    def take(self, expected_id: int, row: Row) -> None:
        """The next row."""
        self.rows += 1
        patient, timestamp = row[self._patient], row[self._timestamp]
        at = f"peer {self.peer_id}, id {row[self._id]}"
        if row[self._id] != expected_id:
            self._faults.add("differing", expected_id, f"{at} is the {expected_id}th row")
        account = self._owners.get(patient)
        number = account.number_of(patient, timestamp) if account is not None else 0
        if account is None or not number:
            self._faults.add("strangers", (patient, timestamp), f"{at}: {patient} {timestamp} was sent by nobody")
            return
        name, key = account.name, (account.name, number)
        has = self.has.setdefault(name, bytearray(account.sent + 1))
        if has[number]:
            self._faults.add("doubled", key, f"{at}: report {number} of {name} is there again")
            return
        has[number] = 1
        if number < self.last.get(name, 0):
            self._faults.add("out_of_order", key, f"{at}: report {number} of {name} comes after {self.last[name]}")
        self.last[name] = max(number, self.last.get(name, 0))
        if tuple(row[place] for place in self._compared) != account.content_of(number):
            self._faults.add("altered", key, f"{at}: report {number} of {name} has other values than were sent")
        if number <= account.acked and row[self._index] != account.index_of(number):
            words = f"report {number} of {name} is of index {row[self._index]}, its ack named"
            self._faults.add("misplaced", key, f"{at}: {words} {account.index_of(number)}")


def _compare(row_id: int, rows: Sequence[Row | None], holdings: Sequence[Holding], faults: _Faults) -> None:
    first = next(place for place, row in enumerate(rows) if row is not None)
    for place, (row, holding) in enumerate(zip(rows, holdings, strict=True)):
        if row is None:
            if holding.whole:
                words = f"id {row_id} is in peer {holdings[first].peer_id}'s file and not in peer {holding.peer_id}'s"
                faults.add("differing", row_id, words)
        elif place != first and row != rows[first]:
            words = f"id {row_id} is not the same in the files of peers {holdings[first].peer_id}, {holding.peer_id}"
            faults.add("differing", row_id, words)


def _look_for_missing(account: Account, books: Sequence[_Book], faults: _Faults) -> None:
    nothing = bytearray(account.sent + 1)
    must_have = [book for book in books if book.whole]
    for number in range(1, account.sent + 1):
        lacking = [book.peer_id for book in must_have if not book.has.get(account.name, nothing)[number]]
        if not must_have and not any(book.has.get(account.name, nothing)[number] for book in books):
            lacking = [book.peer_id for book in books]
        key, report = (account.name, number), f"report {number} of {account.name}"
        if number <= account.acked and (lacking or not books):
            missing = ", ".join(map(str, lacking)) or "any peer"
            faults.add("lost", key, f"{report} (index {account.index_of(number)}) is not in the file of {missing}")
        for book in books:
            has = book.has.get(account.name, nothing)
            if not has[number] and number < book.last.get(account.name, 0) and number > account.acked:
                faults.add("skipped", key, f"{report} is not in peer {book.peer_id}'s file, a later one is")
