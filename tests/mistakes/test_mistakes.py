"""Every mistake is answered with its cause, its place and the next step, in the words of docs/operations/errors.md."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from hfzmq import errors
from tests.mistakes.chapter import Chapter, Mistake
from tests.mistakes.golden import CHAPTERS, PAGE, answers_in, make, page
from tests.named_commands import commands_said, unknown_in

ERRORS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HfzmqError)]
CODES = {error.exit_code for error in ERRORS} | {2}
FINDING = re.compile(r"\S (critical|warning) |(WARNING|CRITICAL|UNKNOWN) - ")
FIRST = re.compile(r"^(error|warning): .|rejected: .|^\S+:\d+: ", re.MULTILINE)


def faults(mistake: Mistake, answer: str) -> list[str]:
    """What is wrong with an answer."""
    _, code, *lines = answer.split("\n")
    found = []
    if code != f"[{mistake.code}]":
        found.append(f"exit code {code}, not {mistake.code}")
    if "Traceback" in answer or "internal error" in answer:
        found.append("a traceback")
    first = next((line for line in lines if (FINDING if mistake.on_stdout else FIRST).search(line)), "")
    found += [f"its first line does not name {name!r}: {first}" for name in mistake.names if name not in first]
    if not mistake.on_stdout:
        found += ["more than one error"] * (sum(line.startswith("error: ") for line in lines) != 1)
        found += ["no next step"] * (not re.match("hint: .", lines[-1]))
    for words in (words for line in lines for words in commands_said(line)):
        if unknown_in(words):
            found.append(f"hfzmq {' '.join(words)}: there is no {unknown_in(words)}")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_each_mistake_is_answered_by_cause_place_and_next_step_in_the_words_of_the_page(chapter: Chapter) -> None:
    told = answers_in(PAGE.read_text())
    wrong: dict[str, list[str]] = {}
    for mistake, answer in make(chapter, told):
        found = faults(mistake, answer)
        if told.get(mistake.title) != answer:
            found.append(f"the page has:\n{told.get(mistake.title)}\nbut it says:\n{answer}")
        if found:
            wrong[mistake.title] = found
    assert not wrong, "\n".join(f"{title}: {one}" for title, found in wrong.items() for one in found)


def test_the_page_holds_each_mistake_once_and_no_other() -> None:
    titles = [mistake.title for chapter in CHAPTERS for mistake in chapter.mistakes]
    assert [title for title, count in Counter(titles).items() if count > 1] == []
    assert len(titles) >= 40
    text = PAGE.read_text()
    assert page(answers_in(text)) == text, "write it anew: python -m tests.mistakes"
    assert [*answers_in(text)] == titles


def test_every_exit_code_of_a_mistake_is_a_documented_one() -> None:
    for chapter in CHAPTERS:
        assert {mistake.code for mistake in chapter.mistakes if not mistake.on_stdout} <= CODES


def test_an_answer_that_teaches_nothing_would_be_found() -> None:
    mistake = Mistake("a", 6, ("peers.yaml:7",), lambda at: None, False, lambda: "")  # type: ignore[arg-type,return-value]
    assert faults(
        mistake, "$ hfzmq x\n[1]\nTraceback (most recent call last):\nerror: wrong\nhint: hfzmq mend --all"
    ) == [
        "exit code [1], not 6",
        "a traceback",
        "its first line does not name 'peers.yaml:7': error: wrong",
        "hfzmq mend --all: there is no mend",
    ]
    assert faults(mistake, "$ hfzmq x\n[6]\nerror: peers.yaml:7: a tab\nerror: again") == [
        "more than one error",
        "no next step",
    ]
