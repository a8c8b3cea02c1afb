"""``hfzmq client``: the bedside. Judges readings on the spot, brings all but GREEN to the mesh, shows what it does.

Touches the command line, signals, the terminal; everything heavy is imported when the command runs. Keeps: SIGINT and
SIGTERM end it in good order (no more readings, 3 s for acks, the summary, exit 0, also where the key is refused, which
is said last); whatever is queued is on disk and goes out when the same command runs again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.options import SECONDS_MAX, Seconds, config_option, log_level_option

if TYPE_CHECKING:
    from hfzmq.cli.bedside.launch import Settings

_SOURCE_HELP = (
    "simulate (seeded patients); a CSV file with the columns age, serum_sodium, serum_creatinine, ejection_fraction, "
    "day (or time) and, if you have them, patient_id, timestamp; or - for JSON lines on stdin, each an object with "
    "patient_id, timestamp (Unix ms) and the vitals: what is left out, null or an empty cell was not measured. A "
    "CSV is read once: a run that was stopped or killed goes on where it stood. A last line without its end is taken "
    "as it stands; should it go on later, the next run warns and takes the whole line, too. Stdin has no memory: what "
    "was read and not yet queued is gone with the process."
)


@click.command()
@click.option("--patient", "named", multiple=True, metavar="ID", help="A patient; may be given again. With a CSV "
              "or stdin: take only these (a CSV without patient_id is all about the one given).")  # fmt: skip
@click.option("--patients", "number", type=click.IntRange(1, 999), metavar="N", help="Simulate P-001 to P-N.")
@config_option
@click.option("--source", default="simulate", show_default=True, metavar="simulate|FILE|-", help=_SOURCE_HELP)
@click.option("--interval", "interval_s", type=Seconds(0, 86_400), metavar="S", help="Seconds between two "
              "readings of a patient (simulate: 2) or two lines of a CSV (as fast as it goes). Shorter than the mesh's "
              "limit of silence (alarms.rules.silent_ms, 30 s), or a healthy bed is told NO DATA in between; it says "
              "so.")  # fmt: skip
@click.option("--duration", "duration_s", type=Seconds(0, SECONDS_MAX, min_open=True), metavar="S", help="Stop reading "
              "after so long; for a CSV also how long to wait for the last ack.")  # fmt: skip
@click.option(
    "--count", "readings_each", type=click.IntRange(1), metavar="N", help="Simulate so many readings of each patient."
)
@click.option("--seed", type=int, metavar="N", help="Simulate the same readings again.")
@click.option("--headless", is_flag=True, help="No live screen: plain lines and a summary.")
@click.option("--day-mode", type=click.Choice(("guarded", "study")), default="guarded", show_default=True,
              help="study: the raw day sets the tier (RAW DAY on screens); a RED then turns GREEN by waiting, labs "
              "unchanged.")  # fmt: skip
@click.option("--mute", is_flag=True, help="No bell when this bed's own alarm sounds because the mesh is away.")
@click.option("-o", "--output", type=click.Choice(("text", "jsonl")), default="text", show_default=True,
              help="jsonl: one JSON object for each step.")  # fmt: skip
@click.option("--queue", "queue_dir", type=click.Path(file_okay=False), metavar="DIR", help="Where reports wait for "
              "the mesh. Default: $XDG_STATE_HOME/hfzmq/<client id>/<mesh>.")  # fmt: skip
@click.option("--client-id", metavar="NAME", help="This bedside's name in the mesh. Default: the queue's, or this "
              "machine's.")  # fmt: skip
@log_level_option
@click.option("--from-start", is_flag=True, help="Read a CSV from its beginning, though it was submitted before.")
def client(log_level: str | None, **given: Any) -> int:
    """Judge patients at the bedside and report to the mesh.

    Exit codes: 0 done (also when ended by SIGINT or SIGTERM); 8 time was over and reports still wait on disk, or a CSV
    was not read to its end: the same command goes on; 7 nobody in the mesh accepts this client's key (after a signal
    that is a warning, and 0); 5 no such file; 6 a value or a file is wrong, or not one line of it could be used; 1
    anything else, as when the output cannot be written.

    Research software, not a medical device.
    """
    from hfzmq.cli.bedside.launch import launch, settings_of
    from hfzmq.cli.log import begin_log
    from hfzmq.cli.terminal import has_screen

    settings: Settings = settings_of(screen=has_screen(given), **given)
    begin_log(log_level or settings.config.log_level, settings.screen)
    return launch(settings)
