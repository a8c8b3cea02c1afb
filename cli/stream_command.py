"""``hfzmq stream``: heart rates into the mesh, made up from a seed or replayed from a recording.

Touches the command line; everything heavy is imported when the command runs. Keeps: SIGINT and SIGTERM end it in good
order (no more readings, 3 s for acks, the summary, exit 0); whatever is queued is on disk and goes out when the same
command runs again.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.options import SECONDS_MAX, Seconds, config_option, log_level_option

if TYPE_CHECKING:
    from hfzmq.cli.stream.launch import Settings

_SHARE = re.compile(r"0|1|[01]?\.[0-9]{1,9}", re.ASCII)
_SOURCE_HELP = (
    "Replay a recording instead: a CSV with the columns timestamp, patient_id, value in any order; JSON lines with "
    "these fields (.jsonl); or - for JSON lines on stdin, taken as they come. Times are Unix ms, Unix s, or ISO 8601 "
    "with a zone. A value that is no number is sent as it stands; a line without patient or time, or with a cell too "
    "many or too few, is refused. A file is read once: a run that was stopped or killed goes on where it stood. A last "
    "line without its end is taken as it stands; should it go on later, the next run warns and takes the whole line, "
    "too. Stdin has no memory."
)


def _exact(ctx: click.Context, param: click.Parameter, value: str | None) -> Fraction | None:
    """A decimal from 0 to 1, kept exactly."""
    if value is None:
        return None
    share = Fraction(value) if _SHARE.fullmatch(value) else None
    if share is None or not 0 <= share <= 1:
        raise click.BadParameter(f"{value!r} is not in the range 0<=x<=1.", ctx, param)
    return share


class Number(click.FloatRange):
    """A finite number: to click, ``nan`` lies within any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


@click.command()
@click.option("--patients", type=click.IntRange(1, 10_000), metavar="N", help="Make up P-001 to P-N. Default: "
              "heart_rate.patients in the file, or CUSTOMER_COUNT.")  # fmt: skip
@click.option("--rate", "rate_hz", type=Number(0.001, 1000), metavar="HZ", help="Readings a second of each "
              "patient (1).")  # fmt: skip
@click.option("--invalid", "share", callback=_exact, metavar="SHARE", help="Of the made-up readings, 0 to 1 (0.2): "
              "exactly so in every 100, and of all of --count. They are in turn high, low, sensor_off, impossible, "
              "future, corrupted.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="S", help="Make up the same readings again.")
@click.option(
    "--duration",
    "duration_s",
    type=Seconds(0, SECONDS_MAX, min_open=True),
    metavar="S",
    help="Stop reading after so long.",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Make up so many readings of all patients together, "
              "and wait until they are acknowledged.")  # fmt: skip
@click.option("--batch", "batch_rows", type=click.IntRange(1, 10_000), default=100, show_default=True, metavar="N",
              help="Readings of one request, at most.")  # fmt: skip
@click.option("--source", metavar="FILE|-", help=_SOURCE_HELP)
@click.option("--speed", type=Number(0, 1_000_000), metavar="X", help="Replay X times as fast as it was recorded (1); "
              "0: as fast as it goes. A gap of more than 10 minutes is not waited for.")  # fmt: skip
@click.option("--fast", is_flag=True, help="The same as --speed 0.")
@click.option("--from-start", is_flag=True, help="Read a file from its beginning, though it was submitted before.")
@config_option
@click.option("--queue", "queue_dir", type=click.Path(file_okay=False), metavar="DIR", help="Where readings wait for "
              "the mesh. Default: $XDG_STATE_HOME/hfzmq/<client id>/<mesh>-readings.")  # fmt: skip
@click.option("--client-id", metavar="NAME", help="This producer's name in the mesh. Default: the queue's, or this "
              "machine's.")  # fmt: skip
@click.option("--headless", is_flag=True, help="No live screen: plain lines and a summary.")
@click.option("-o", "--output", type=click.Choice(("text", "jsonl")), default="text", show_default=True,
              help="jsonl: one JSON object for each step.")  # fmt: skip
@log_level_option
def stream(log_level: str | None, **given: Any) -> int:
    """Bring heart rates to the mesh: made up from a seed, or a recording.

    Every reading is stored with its verdict, and acknowledged when a majority of the peers has it. The summary counts
    them by verdict: read, acknowledged, waiting.

    What is 0, -1, -100 or -999 (a device's 'no value'), below 0 or above 300 is stored as invalid_system. It never
    raises a heart-rate alarm, and is no sign of life: a bed that sends nothing else becomes NO DATA.

    Exit codes: 0 done (also when ended by SIGINT or SIGTERM); 8 time was over and readings still wait on disk, or a
    file was not read to its end: the same command goes on; 7 nobody in the mesh accepts this client's key (after a
    signal that is a warning, and 0); 5 no such file; 6 a value or a file is wrong, or not one line of it could be used;
    1 anything else, as when the output cannot be written.

    Research software, not a medical device.
    """
    from hfzmq.cli.log import begin_log
    from hfzmq.cli.stream.launch import launch, settings_of
    from hfzmq.cli.terminal import has_screen

    settings: Settings = settings_of(screen=has_screen(given), **given)
    begin_log(log_level or settings.config.log_level, settings.screen)
    return launch(settings)
