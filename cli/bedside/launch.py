"""From options to a running bedside: source, model, client, and where its events go.

Touches files, signals, the terminal. Must not know how anything is judged, sent or drawn. Keeps: with a screen, the
work runs in a thread of its own, so that the screen is drawn (and says NOT LIVE) whatever the work does.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import click

from hfzmq.cli.bedside.csv_source import CsvSource
from hfzmq.cli.bedside.output import ProgressLine, json_line, summary_of, text_lines
from hfzmq.cli.bedside.run import Bedside
from hfzmq.cli.bedside.simulate import SimulateSource
from hfzmq.cli.bedside.sources import Source, wall_ms
from hfzmq.cli.bedside.status import StatusBook
from hfzmq.cli.bedside.stdin_source import StdinSource
from hfzmq.cli.options import load_config
from hfzmq.client import Client
from hfzmq.client.queue_types import Places
from hfzmq.clinical.report import check_patient_id
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, TimedOut
from hfzmq.model.inference import RiskModel

Event = dict[str, Any]

INTERVAL_S = 2.0


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
        refusal = check_patient_id(patient)
        if refusal is not None:
            raise InvalidInput("--patient", refusal.bound, got=patient, hint=refusal.hint)
    if len(set(patients)) != len(patients):
        raise click.UsageError("a patient is given twice")
    return Settings(load_config(config_path), source, tuple(patients), screen=screen, **other)


def launch(settings: Settings) -> int:
    """Run a bedside to its end; the exit code. Every error is an HfzmqError."""
    source, csv = _source(settings)
    # No SimpleQueue: until Python 3.12 its get(timeout) waits for ever when a signal comes just as the time is over.
    events: queue.Queue[Event] = queue.Queue()
    try:
        model = RiskModel.load()
        with Client(settings.config, settings.client_id, settings.queue_dir, events.put, seed=settings.seed) as client:
            tail = _place_in_file(settings, client, csv) if csv is not None else None
            pending = client.state.pending
            if pending and not settings.screen:
                say(f"{pending} reports of an earlier run wait in {client.queue.directory}; they go first")

            def bedside(tell: Callable[[Event], None], turn: Callable[[], None]) -> Bedside:
                return Bedside(
                    client, model, source, tell, events=events, tail=tail, duration_s=settings.duration_s, turn=turn
                )

            if settings.screen:
                return _on_screen(settings, client, source, bedside)
            return _in_lines(settings, client, csv, bedside)
    finally:
        source.close()


def say(words: str) -> None:
    """A remark for the person, beside the data."""
    click.echo(words, err=True)


def _source(settings: Settings) -> tuple[Source, CsvSource | None]:
    if settings.source == "simulate":
        interval_s = INTERVAL_S if settings.interval_s is None else settings.interval_s
        return SimulateSource(settings.patients, interval_s, settings.readings_each, settings.seed), None
    if settings.source == "-":
        return StdinSource(sys.stdin.fileno(), settings.patients), None
    csv = CsvSource(Path(settings.source), settings.interval_s or 0.0, settings.patients)
    return csv, csv


def _place_in_file(settings: Settings, client: Client, csv: CsvSource) -> Places:
    """Go on where an earlier run of this queue stopped; the stored places that the next ones replace."""
    if settings.from_start:
        return csv.skip_nothing(client.queue.sources())
    tail = csv.resume(client.queue.sources())
    if csv.resumed is not None:
        say(
            f"{csv.path}: going on after line {csv.resumed.lines}: an earlier run has read what stands before "
            "(--from-start: all again)"
        )
    return tail


# ---------------------------------------------------------------------------------------------------- lines or a screen

MakeBedside = Callable[[Callable[[Event], None], Callable[[], None]], Bedside]


def _in_lines(settings: Settings, client: Client, csv: CsvSource | None, make: MakeBedside) -> int:
    def words() -> str:
        assert csv is not None
        return (
            f"{csv.path}: line {csv.lines}, {bedside.counts['submitted']} submitted, {bedside.counts['acked']} "
            f"acknowledged, {bedside.counts['rejected']} rejected, {client.state.pending} waiting"
        )

    progress = ProgressLine(words) if csv is not None and csv.batch else None

    def turn() -> None:
        sys.stdout.flush()
        if progress is not None:
            progress.turn()

    tell = json_line if settings.output == "jsonl" else text_lines(settings.config.thresholds)
    bedside = make(tell, turn)
    with _stopped_by_signals(bedside.stop, signal.SIGINT, signal.SIGTERM):
        try:
            bedside.run()
        finally:
            if progress is not None:
                progress.end()
    sys.stdout.flush()
    return 0


def _on_screen(settings: Settings, client: Client, source: Source, make: MakeBedside) -> int:
    from hfzmq.cli.live_screen import run_screen
    from hfzmq.cli.screens.bedside import bedside as draw

    named = settings.patients if settings.source == "simulate" else ()
    book = StatusBook(client.client_id, named, settings.config.thresholds, source.interval_s)
    last: list[Event] = []
    ended: list[BaseException] = []

    def tell(event: Event) -> None:
        book.take(event, _mono_ms(), wall_ms())
        if event["event"] == "summary":
            last.append(event)

    work = make(tell, lambda: book.turned(_mono_ms()))

    def run() -> None:
        try:
            work.run()
        except BaseException as error:  # raised again below, in the thread that can tell somebody
            ended.append(error)

    thread = threading.Thread(target=run, name="bedside", daemon=True)
    book.turned(_mono_ms())
    thread.start()
    with contextlib.suppress(KeyboardInterrupt):
        run_screen(
            lambda width, height, now_ms: draw(book.snapshot(client.state, now_ms, wall_ms()), width, height),
            lambda key: key not in ("q", "Q", "\x03") and thread.is_alive(),
        )
    stopped = thread.is_alive()
    if stopped:
        say("waiting for the last acknowledgements ...")
        work.stop()
    thread.join()
    if last:
        click.echo(summary_of(last[0]))
    if ended and not (stopped and isinstance(ended[0], TimedOut)):
        raise ended[0]
    return 0


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """The first of these signals asks for an orderly end; the second one does what it did before."""
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(number, before[number])

    for number in numbers:
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000
