"""From options to a running bedside: source, model, client, and where its events go.

Touches files. Must not know how anything is judged, sent or drawn.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hfzmq.cli.bedside.alarms import BedAlarms
from hfzmq.cli.bedside.csv_source import CsvSource
from hfzmq.cli.bedside.output import ProgressLine, json_line, summary_of, text_lines
from hfzmq.cli.bedside.run import Bedside
from hfzmq.cli.bedside.seen_key import SeenKey
from hfzmq.cli.bedside.seldom import seldom_words
from hfzmq.cli.bedside.show import MakeWork, in_lines, on_screen, say
from hfzmq.cli.bedside.simulate import SimulateSource
from hfzmq.cli.bedside.sources import Source, mono_ms, wall_ms
from hfzmq.cli.bedside.status import StatusBook
from hfzmq.cli.bedside.stdin_source import StdinSource
from hfzmq.cli.bedside.work import Event, Work
from hfzmq.cli.bell import BedBell
from hfzmq.cli.options import load_config
from hfzmq.cli.why import Whys
from hfzmq.client import Client
from hfzmq.client.queue_types import Places
from hfzmq.clinical.alarm.reach import SPEAKS_EVERY_MS
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.clinical.report import check_new_patient_id
from hfzmq.config import Config
from hfzmq.errors import InvalidInput
from hfzmq.model.inference import RiskModel
from hfzmq.secret_files import BEDSIDE_KEY

if TYPE_CHECKING:
    from rich.console import RenderableType

INTERVAL_S = SPEAKS_EVERY_MS / 1000
GUARDED, STUDY = "guarded", "study"  # --day-mode
RAW_DAY = "RAW DAY: the raw day sets the tier (--day-mode study), not the guarded number: a RED turns GREEN by waiting"


class Settings(NamedTuple):
    """What the options said, checked."""

    config: Config
    source: str
    patients: tuple[str, ...]
    interval_s: float | None
    duration_s: float | None
    readings_each: int | None
    seed: int | None
    output: str
    screen: bool
    queue_dir: str | None
    client_id: str | None
    from_start: bool
    mute: bool = False
    day_mode: str = GUARDED


def settings_of(
    *,
    named: tuple[str, ...],
    number: int | None,
    config_path: str,
    source: str,
    screen: bool,
    headless: bool,
    **other: Any,
) -> Settings:
    """Settings from the command's options; UsageError, InvalidInput, ConfigError."""
    simulated = source == "simulate"
    for option, value in (("patients", number), ("count", other["readings_each"]), ("seed", other["seed"])):
        if not simulated and value is not None:
            raise click.UsageError(f"--{option} is for --source simulate")
    if source == "-" and other["interval_s"] is not None:
        raise click.UsageError("--interval is not for stdin: lines are taken as they come")
    if other["from_start"] and source in ("simulate", "-"):
        raise click.UsageError("--from-start is for a CSV file")
    patients = list(named) + [f"P-{place + 1:03d}" for place in range(number or 0)]
    if simulated and not patients:
        patients = ["P-001"]
    for patient in patients:
        refusal = check_new_patient_id(patient)
        if refusal is not None:
            raise InvalidInput("--patient", refusal.bound, got=patient, hint=refusal.hint)
    if len(set(patients)) != len(patients):
        raise click.UsageError("a patient is given twice")
    return Settings(load_config(config_path, key=BEDSIDE_KEY), source, tuple(patients), screen=screen, **other)


def launch(settings: Settings) -> int:
    """Run a bedside to its end; the exit code. Every error is an HfzmqError."""
    source, csv = _source(settings)
    doubt = _doubt(settings, source)
    if doubt:
        say(f"warning: {doubt}")
    # No SimpleQueue: until Python 3.12 its get(timeout) waits for ever when a signal comes just as the time is over.
    events: queue.Queue[Event] = queue.Queue()
    try:
        model = RiskModel.load(raw_day=settings.day_mode == STUDY)
        with Client(settings.config, settings.client_id, settings.queue_dir, events.put, seed=settings.seed) as client:
            tail = _place_in_file(settings, client, csv) if csv is not None else None
            if client.earlier and not settings.screen:
                say(f"{client.earlier} reports of an earlier run wait in {client.queue.directory}; they go first")

            alarms = _alarms(settings, source)

            def bedside(tell: Callable[[Event], None], turn: Callable[[], None]) -> Bedside:
                return Bedside(
                    client, model, source, tell, events=events, tail=tail, duration_s=settings.duration_s, turn=turn,
                    alarms=alarms,
                )  # fmt: skip

            if settings.screen:
                return _on_screen(settings, client, source, bedside, doubt, Whys(model))
            return _in_lines(settings, client, csv, bedside)
    finally:
        source.close()


def _source(settings: Settings) -> tuple[Source, CsvSource | None]:
    if settings.source == "simulate":
        interval_s = INTERVAL_S if settings.interval_s is None else settings.interval_s
        return SimulateSource(settings.patients, interval_s, settings.readings_each, settings.seed), None
    if settings.source == "-":
        return StdinSource(sys.stdin.fileno(), settings.patients), None
    csv = CsvSource(Path(settings.source), settings.interval_s or 0.0, settings.patients)
    return csv, csv


def _doubt(settings: Settings, source: Source) -> str:
    """What is odd about this run, for stderr and for as long as the screen is there: who sets the tier, how seldom the
    beds speak; '' for nothing."""
    found = [RAW_DAY] if settings.day_mode == STUDY else []
    if not source.batch and source.interval_s:
        found.append(seldom_words(rules_of(settings.config), source.interval_s, settings.patients, "--interval"))
    return ". ".join(filter(None, found))


def _alarms(settings: Settings, source: Source) -> BedAlarms | None:
    """The bed's own alarms; none where a file is brought in as fast as it goes, which is no bed."""
    if source.batch:
        return None
    live = not isinstance(source, CsvSource)

    def ring() -> None:
        if not settings.screen and sys.stderr.isatty():
            sys.stderr.write("\a")
            sys.stderr.flush()

    rules = rules_of(settings.config)
    return BedAlarms(rules, settings.patients, mono_ms(), silence=live, mute=settings.mute, ring=ring)


def _place_in_file(settings: Settings, client: Client, csv: CsvSource) -> Places:
    """Go on where an earlier run of this queue stopped; the stored places that the next ones replace."""
    if settings.from_start:
        return csv.skip_nothing(client.queue.sources(all_again=True))
    tail = csv.resume(client.queue.sources())
    if csv.resumed is not None:
        say(
            f"{csv.path}: going on after line {csv.resumed.lines}: an earlier run has read what stands before "
            "(--from-start: all again)"
        )
    return tail


# ---------------------------------------------------------------------------------------------------- lines or a screen


def _in_lines(settings: Settings, client: Client, csv: CsvSource | None, make: MakeWork) -> int:
    def progress(work: Work) -> ProgressLine | None:
        if csv is None or not csv.batch:
            return None
        return ProgressLine(
            lambda: (
                f"{csv.path}: line {csv.lines}, {work.counts['submitted']} submitted, {work.counts['acked']} "
                f"acknowledged, {work.counts['rejected']} rejected, {client.state.pending} waiting"
            )
        )

    tell = json_line if settings.output == "jsonl" else text_lines(settings.config.thresholds)
    return in_lines(make, tell, progress)


def _on_screen(settings: Settings, client: Client, source: Source, make: MakeWork, doubt: str, whys: Whys) -> int:
    from hfzmq.cli.screens.bedside import bedside as draw

    named = settings.patients if settings.source == "simulate" else ()
    thresholds = settings.config.thresholds
    book = StatusBook(client.client_id, named, thresholds, source.interval_s, doubt, whys, client.earlier)

    bell, seen_key = BedBell(settings.mute), SeenKey()
    shown = book.snapshot(client.state, mono_ms(), wall_ms())  # what the person sees

    def drawn(width: int, height: int, now_ms: int, wall_ms: int) -> RenderableType:
        nonlocal shown
        shown = book.snapshot(client.state, now_ms, wall_ms)
        return draw(shown, width, height, seen_key.drew(shown))

    def on_key(work: Work, key: str) -> None:
        seen = seen_key.press(mono_ms()) if key in ("a", "A") else None
        if seen is not None and isinstance(work, Bedside):
            work.acknowledge(seen)

    def rings() -> bool:
        unseen = [(alarm.id, alarm.cause) for alarm in shown.alarms if alarm.unseen]
        return bell.rings(unseen, shown.away, shown.now_ms)

    return on_screen(make, book, drawn, summary_of, on_key, rings)
