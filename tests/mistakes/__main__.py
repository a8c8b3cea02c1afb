"""``python -m tests.mistakes [WORD]``: make every mistake (of the chapters whose title has WORD) and write what hfzmq
says to docs/operations/errors.md. What this machine cannot make keeps the answer that the page has."""

from __future__ import annotations

import sys

from tests.mistakes.golden import CHAPTERS, PAGE, answers_in, make, page


def main(word: str = "") -> None:
    answers = answers_in(PAGE.read_text()) if PAGE.exists() else {}
    for chapter in (one for one in CHAPTERS if word in one.title):
        answers.update((mistake.title, answer) for mistake, answer in make(chapter))
        sys.stderr.write(f"{chapter.title}: {len(chapter.mistakes)}\n")
    PAGE.write_text(page(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
