"""The page of all mistakes and answers, docs/operations/errors.md: what the tests compare with, and people look into.

### title
```
$ what was typed
[exit code]
what hfzmq says
```
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.mistakes import bedside, files, keys, mesh, peers_yaml, serving
from tests.mistakes.bench import Made
from tests.mistakes.chapter import Chapter, Mistake
from tests.provenance import ROOT

PAGE = ROOT / "docs" / "operations" / "errors.md"
CHAPTERS = (
    peers_yaml.CHAPTER, keys.CHAPTER, serving.CHAPTER, mesh.AWAY, mesh.CHAPTER, bedside.CHAPTER, files.CHAPTER,
)  # fmt: skip
_NOTHING: Mapping[str, str] = {}
HEAD = """\
# What goes wrong, and what hfzmq says

Mistakes that people make, and the answers. The first line says what is wrong and where, the line `hint:` what to do
next; the number in brackets is the exit code ([which there are](../../README.md)). Look for the words that you see.
`python -m tests.mistakes` makes each of these mistakes and writes this page; the tests make them too, and compare.
"""


def answer_of(mistake: Mistake, made: Made) -> str:
    """What a person sees who made it, with the exit code."""
    text = made.said.out if mistake.on_stdout else made.said.err
    return f"$ {made.typed}\n[{made.said.code}]\n{text.strip()}"


def answers_in(page: str) -> dict[str, str]:
    """Title and answer of each mistake of a page."""
    return dict(re.findall(r"^### (.+?)\n+```\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL))


def page(answers: dict[str, str]) -> str:
    """The text of the page."""
    parts = [HEAD]
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title}\n")
        known = [one.title for one in chapter.mistakes if one.title in answers]
        parts += [f"### {title}\n\n```\n{answers[title]}\n```\n" for title in known]
    return "\n".join(parts)


def make(chapter: Chapter, told: Mapping[str, str] = _NOTHING) -> Iterable[tuple[Mistake, str]]:
    """Make each mistake of a chapter that this machine can make: it and its answer. One that differs from what is
    ``told`` is made once more: on a busy machine a peer may not answer in time, which is another answer."""
    with tempfile.TemporaryDirectory(prefix="mistakes") as folder, chapter.place(Path(folder)) as bench:
        for mistake in chapter.mistakes:
            if not mistake.skip():
                with bench() as at:
                    answer = answer_of(mistake, mistake.make(at))
                if answer != told.get(mistake.title, answer):
                    with bench() as at:
                        answer = answer_of(mistake, mistake.make(at))
                yield mistake, answer
