"""A chapter of mistakes: a table of functions that each make one, with what the answer has to be.

``@chapter.mistake("a tab in it", 6, "peers.yaml:4")``: the exit code, and what the first line must name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.mistakes.bench import Bench, Made, copy_ward, found_ward

Make = Callable[[Bench], Made]
Skip = Callable[[], str]  # why this machine cannot, '' when it can


class Mistake(NamedTuple):
    """``title``: what was done wrong; ``code``: how hfzmq has to end; ``names``: what its first line has to name;
    ``on_stdout``: its answer is what was asked for, not an error."""

    title: str
    code: int
    names: tuple[str, ...]
    make: Make
    on_stdout: bool
    skip: Skip


class Chapter:
    """``title``: its head. Each mistake is made in a folder of its own."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.mistakes: list[Mistake] = []

    def mistake(
        self, title: str, code: int, *names: str, on_stdout: bool = False, skip: Skip = lambda: ""
    ) -> Callable[[Make], Make]:
        """Add one."""

        def add(make: Make) -> Make:
            self.mistakes.append(Mistake(title, code, names, make, on_stdout, skip))
            return make

        return add

    @contextmanager
    def place(self, folder: Path) -> Iterator[Callable[[], AbstractContextManager[Bench]]]:
        """Opens a bench for a mistake, as often as asked; what is common to all lasts as long as this."""
        ward = folder / "ward"
        ward.mkdir()
        found_ward(ward)
        number = count()

        @contextmanager
        def bench() -> Iterator[Bench]:
            own = folder / str(next(number))
            copy_ward(ward, own)
            with closing(Bench(own)) as made:
                yield made

        yield bench
