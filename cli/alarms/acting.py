"""The acts of ``hfzmq alarms``: one after the other on what was named, or on all that nobody has seen.

Touches sockets (through act and page_source), stdout (what was done), stderr (what is asked), the wall clock, for ages.
Keeps: with --all, those alarms are acknowledged that the person was shown, each by its id and in the person's name: one
that is raised meanwhile is not among them; what is not there keeps nothing else from being done, and is the exit code.
"""

from __future__ import annotations

import sys
import time

import click

from hfzmq.cli.alarms import words
from hfzmq.cli.alarms.act import Acted, Actor, Target, checked_name, login_name, sentence
from hfzmq.cli.alarms.rows import episodes_of
from hfzmq.cli.confirm import confirm
from hfzmq.cli.format import counted, json_line, local_time, printable
from hfzmq.cli.layout import folded, terminal_width
from hfzmq.cli.options import load_config
from hfzmq.cli.page_command import check_patient
from hfzmq.cli.page_source import ALARMS, Filter, MeshSource, read_all
from hfzmq.clinical.alarm.types import ACK, DONE, UNSEEN, Episode
from hfzmq.config import Config
from hfzmq.errors import MeshUnavailable, NotFound


def act_on(action: str, targets: list[Target], by: str | None, config_path: str, timeout_s: float, output: str) -> None:
    """One after the other, ``timeout_s`` for all of them. NotFound: one or more are not there."""
    for target in targets:
        check_patient(target if isinstance(target, str) else None)
    actor = Actor(load_config(config_path), _name(by), timeout_s)
    missing: list[NotFound] = []
    for target in targets:
        try:
            acted = actor.act(action, target)
        except NotFound as error:
            missing.append(error)
            continue
        _tell(acted, sentence(acted), output)
    if missing:
        raise NotFound("; ".join(map(str, missing)), hint=missing[0].hint)


def acknowledge_all(
    cause: str | None,
    patient: str | None,
    yes: bool,
    by: str | None,
    config_path: str,
    timeout_s: float,
    output: str,
) -> None:
    """All alarms that nobody has seen, of a cause and of a patient where these are given; shown first, and asked about
    unless ``yes``. ``timeout_s``: for each. MeshUnavailable says how many were done before."""
    check_patient(patient)
    config, name = load_config(config_path), _name(by)
    found, log_now_ms = _unseen(config, cause, patient)
    if not found:
        click.echo("no alarm that nobody has seen" + ("" if cause is patient is None else " fits"), err=True)
        return
    many = counted(len(found), "alarm")
    _show(found, log_now_ms, config)
    if not yes:
        question = f"acknowledge {'it' if len(found) == 1 else f'these {many}'} as {printable(name)}?"
        confirm(question, "nothing was acknowledged", "if you mean it, say it again with --yes")
    done = 0
    for episode in found:
        try:
            acted = Actor(config, name, timeout_s).act(ACK, episode.id)
        except MeshUnavailable as error:
            error.args = (f"{error}; {done} of {many} were acknowledged before",)
            raise
        done += acted.outcome == DONE
        _tell(acted, f"{sentence(acted)} ({_what(episode)})", output)
    others = f"; {len(found) - done} had been seen by then" if done < len(found) else ""
    _say(f"{done} of {many} acknowledged by {printable(name)}{others}")


# ------------------------------------------------------------ the parts


def _name(by: str | None) -> str:
    return login_name() if by is None else checked_name(by)


def _unseen(config: Config, cause: str | None, patient: str | None) -> tuple[list[Episode], int | None]:
    """From the leader, after a quorum round: none is missing; what the log's clock shows, if that is told."""
    pages = list(read_all(MeshSource(config, consistent=True, table=ALARMS), 0, Filter(patient, "open")))
    episodes = (one for page in pages for one in episodes_of(page.fields, page.rows))
    fitting = (one for one in episodes if one.state in UNSEEN and cause in (None, one.cause))
    return sorted(fitting, key=words.urgency), pages[-1].log_now_ms


def _show(found: list[Episode], log_now_ms: int | None, config: Config) -> None:
    now_ms, note = words.log_clock(log_now_ms, time.time_ns() // 1_000_000)
    if note:
        _say(note)
    for one in found:
        value = words.value_words(one.cause, one.value, one.note, config.thresholds, one.least, one.most)
        since = f"since {local_time(one.raised_at_ms)} ({words.age_words(one, now_ms)})"
        _say(", ".join(filter(None, (f"alarm {one.id}: {_what(one)}", value, words.state_words(one), since))))


def _what(episode: Episode) -> str:
    return f"{words.cause_words(episode.cause, episode.note)} of {printable(episode.patient_id)}"


def _tell(acted: Acted, words_of_it: str, output: str) -> None:
    said = json_line(acted._asdict()) if output == "json" else folded(words_of_it, terminal_width())
    click.echo(said)


def _say(sentence_of_it: str) -> None:
    click.echo(folded(sentence_of_it, terminal_width(sys.stderr)), err=True)
