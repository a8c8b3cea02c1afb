"""``hfzmq bench``: the command line of the measurements.

Touches the command line, signals, a temporary folder, the results file; the rest is imported when it is run. Keeps: no
figure is shown or written unless every acknowledged report was read back exactly once; Ctrl-C and SIGTERM leave no
process and no file behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.bench.checks import check, check_growth, check_weight, given
from hfzmq.cli.bench.stop import Stop, stoppable, warn
from hfzmq.cli.options import Seconds, key_option, load_config, output_option
from hfzmq.settings import Limits, Timing

if TYPE_CHECKING:
    from hfzmq.cli.bench.measure import Terms, Workload

CLIENTS_MAX, BATCH_MAX, ROUNDS_MAX, KILLS_MAX = 2000, 1000, 99, 1000
ROWS_LEAST, ROWS_MOST = 1000, 10**9
MINUTES_MAX = 7 * 24 * 60
SAMPLE_S, SAMPLES = 10.0, 30  # of a long run: so far apart, or nearer, that there are so many
LONG_CLIENTS = 64
UNTOLD = ("--results", "--folder", "--config", "--key", "--output", "--yes")  # where it was, and not what

Step = Callable[[], None]


@click.command()
@click.option("--clients", type=click.IntRange(1, CLIENTS_MAX), metavar="N", help="So many clients, each with one "
              "request under way, in place of the three workloads.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, BATCH_MAX), metavar="N", help="Reports in each of their requests.  "
              "[default: 1]")  # fmt: skip
@click.option("--seconds", type=Seconds(0.2, 3600), default=5.0, show_default=True, metavar="S",
              help="Measure each workload for so long, after a second of warm-up.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, ROUNDS_MAX), default=1, show_default=True, metavar="N",
              help="Measure all of it so often; medians are told.")  # fmt: skip
@click.option("--beds", type=click.IntRange(1, 10_000), default=64, show_default=True, metavar="N",
              help="The clients share so many beds, and have one each at least.")  # fmt: skip
@click.option("--report-bytes", type=click.IntRange(1), default=145, show_default=True, metavar="N",
              help="What a report weighs on the wire.")  # fmt: skip
@click.option("--baseline", is_flag=True, help="Measure the bare sketch in turn with the mesh, and the ratios to it.")
@click.option("--plain", is_flag=True, help="Measure a mesh without keys, too.")
@click.option("--failover", "kills", type=click.IntRange(1, KILLS_MAX), metavar="N",
              help="Instead: kill -9 the leader N times, under a steady writer; how long does it wait?")  # fmt: skip
@click.option("--minutes", type=Seconds(0.05, MINUTES_MAX), metavar="M",
              help="Instead: one workload for so long; does anything grow?")  # fmt: skip
@click.option("--growth", type=click.Choice(("all", "peers", "clients", "bytes", "stored")), is_flag=False,
              flag_value="all", metavar="[AXIS]", help="Instead: what does growth do to rate and latency? Of peers, "
              "clients, bytes of a report, reports stored; of each in turn, or of the one that is named.")  # fmt: skip
@click.option("--rows-max", type=click.IntRange(ROWS_LEAST, ROWS_MOST), metavar="N",
              help="With --growth: up to so many stored reports.  [default: 1000000]")  # fmt: skip
@click.option("--lease", "lease_ms", type=click.IntRange(150, 60_000), default=Timing().lease_ms, show_default=True,
              metavar="MS", help="Of the mesh that is started.")  # fmt: skip
@click.option("--config", "config_path", metavar="FILE", help="Measure this mesh, which runs, in place of a new one.")
@click.option("--yes", is_flag=True, help="With --config: yes, store made-up reports there for ever.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="On the disk to measure; what is made there goes again.  [default: a temporary one]")  # fmt: skip
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Put the figures into this JSON file, in place of older ones of the same kind.")  # fmt: skip
@key_option
@output_option("table", "json")
def bench(
    clients: int | None,
    batch: int | None,
    seconds: float,
    rounds: int,
    beds: int,
    report_bytes: int,
    baseline: bool,
    plain: bool,
    kills: int | None,
    minutes: float | None,
    growth: str | None,
    rows_max: int | None,
    lease_ms: int,
    config_path: str | None,
    yes: bool,
    folder: Path | None,
    results: Path | None,
    output: str,
) -> int:
    """How many reports a second, how soon, at what cost.

    Starts three peers on this machine, with throw-away keys, and clients who each have one request under way: one
    client with one report a request; 64 of them; 8 with 100 reports a request. What is acknowledged is on two synced
    disks. In the end each disk is read: without every acknowledged report on it, exactly once, no figure is told.

    --baseline measures, right beside it, a bare sketch: what sockets and SQLite take to store each report once on
    three disks, without elections, keys, alarms or recovery. Figures of another hour, or of another machine, do not
    compare; the ratio of one run says how much all the rest costs on this machine.

    --minutes ends with exit code 1 when something grew or stood still. Ctrl-C ends it early, with what there is.

    \b
    hfzmq bench --baseline --rounds 3
    hfzmq bench --clients 1000 --seconds 20 -o json
    hfzmq bench --failover 20 --lease 150
    hfzmq bench --minutes 30
    hfzmq bench --growth --rounds 3
    hfzmq bench --growth stored --rows-max 10000000
    """
    check(clients, batch, baseline, plain, kills, minutes, config_path, yes)
    check_growth(growth, rows_max)
    from hfzmq.cli import results_file
    from hfzmq.cli.bench.measure import STANDARD, Terms, Workload
    from hfzmq.cli.bench.place import GROWTH, known, machine, on_disk, put

    if results:
        known(results)  # before anything is measured
    here, terms = machine(), Terms(seconds=seconds, beds=beds, report_bytes=report_bytes)
    chosen = (Workload(clients or 1, batch or 1),) if clients or batch else STANDARD
    heaviest = batch or 1 if minutes else max(one.batch for one in chosen)
    check_weight(heaviest, report_bytes, load_config(config_path).limits if config_path else Limits())

    def whole(part: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = results_file.plain({**results_file.circumstances(_command()), **here, **disk, **part})
        return found

    with stoppable() as tick, on_disk(folder) as (place, disk):
        if growth:
            grown: dict[str, Any] = {}
            for axis, part in _growth(place, growth, rows_max, terms, rounds, lease_ms, tick):
                grown[axis] = whole(part)
                if results:
                    put(results, {GROWTH: grown})
            _show(GROWTH, grown, output)
            return 0
        if kills:
            told = {f"failover_lease_{lease_ms}_ms": _failover(place, kills, lease_ms, plain, tick)}
        elif minutes:
            long = terms._replace(seconds=minutes * 60, tick_s=min(SAMPLE_S, minutes * 60 / SAMPLES))
            workload = Workload(clients or (1 if batch else LONG_CLIENTS), batch or 1)
            told = {"long": _long(place, workload, long, plain, lease_ms, config_path, tick)}
        elif config_path:
            told = {"running": _running(place, config_path, chosen, terms, rounds, tick)}
        else:
            told = {"speed": _speed(place, chosen, baseline, plain, terms, rounds, lease_ms, tick)}
    name = next(iter(told))
    told[name] = whole(told[name])
    if results:  # first, for whoever reads what is shown may have gone
        put(results, told)
    _show(name, told[name], output)
    return 1 if told[name].get("not_flat") else 0


# ------------------------------------------------------------ what is measured


def _speed(
    place: Path, chosen: tuple[Workload, ...], baseline: bool, plain: bool, terms: Terms, rounds: int, lease_ms: int,
    tick: Step,
) -> dict[str, Any]:  # fmt: skip
    from hfzmq.cli.bench import compare
    from hfzmq.cli.bench.systems import MESH, PLAIN, SKETCH, system_of
    from hfzmq.cli.results_file import progress

    systems = (MESH, *((PLAIN,) if plain else ()), *((SKETCH,) if baseline else ()))
    plan = compare.Plan(chosen, systems, rounds, terms)
    with progress(compare.stages(plan)) as say:
        found = compare.run(plan, lambda name: system_of(name, place, tick, lease_ms), tick, say)
    return {"lease_ms": lease_ms, **compare.section(plan, found)}


def _running(
    place: Path, config_path: str, chosen: tuple[Workload, ...], terms: Terms, rounds: int, tick: Step
) -> dict[str, Any]:
    from hfzmq.cli.bench import compare
    from hfzmq.cli.bench.running import RunningSystem
    from hfzmq.cli.results_file import progress

    config, key, places = load_config(config_path), _key(), (place / f"run-{number}" for number in count())
    plan = compare.Plan(chosen, (config.mesh_name,), rounds, terms)
    with progress(compare.stages(plan)) as say:
        found = compare.run(plan, lambda name: RunningSystem(config, next(places), warn, key), tick, say)
    return compare.section(plan, found)


def _long(
    place: Path, workload: Workload, terms: Terms, plain: bool, lease_ms: int, config_path: str | None, tick: Stop
) -> dict[str, Any]:
    from hfzmq.cli.bench.longrun import long_run
    from hfzmq.cli.bench.running import RunningSystem
    from hfzmq.cli.bench.systems import MESH, PLAIN, System, system_of
    from hfzmq.cli.results_file import progress

    def on_sample(event: Mapping[str, Any]) -> None:
        tick()
        with suppress(OSError):  # nobody reads stderr any more
            say("long", event["at_s"] / terms.seconds)

    if config_path:
        system: System = RunningSystem(load_config(config_path), place / "run", warn, _key())
    else:
        system = system_of(PLAIN if plain else MESH, place, tick, lease_ms)
    found: dict[str, Any] = {}
    try:
        with progress({"long": f"{workload.name}, {terms.seconds / 60:g} minutes"}) as say:
            found = long_run(system, workload, terms, on_sample, tick.load_ends)
    except OSError:
        if not found:  # else it was the bar, whose terminal is gone
            raise
    return found


def _failover(place: Path, kills: int, lease_ms: int, plain: bool, tick: Step) -> dict[str, Any]:
    from hfzmq.cli.bench.failover import failover
    from hfzmq.cli.results_file import progress

    with progress({"kills": f"{kills} times kill -9, lease {lease_ms} ms"}) as say:
        return failover(place, kills, lease_ms, not plain, tick, lambda share: say("kills", share))


def _growth(
    place: Path, growth: str, rows_max: int | None, terms: Terms, rounds: int, lease_ms: int, tick: Step
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each axis, as soon as it is measured."""
    from hfzmq.cli.bench.growth import AXES, ROWS_MAX, STORED, Run, grow, points, refuse_small_disk, stages
    from hfzmq.cli.results_file import progress

    axes, most = [axis for axis in AXES if growth in ("all", axis)], rows_max or ROWS_MAX
    if STORED in axes:
        refuse_small_disk(place, most)
    for axis in axes:
        along = points(axis, most)
        with progress(stages(axis, along)) as say:
            found = grow(axis, along, Run(place, rounds, terms, lease_ms, tick), say)
        yield axis, {"lease_ms": lease_ms, **found}


# ------------------------------------------------------------ around it


def _command() -> str:
    """The command line, without files' names."""
    context, words = click.get_current_context(), ["hfzmq bench"]
    for option in context.command.params:
        value, name = context.params.get(option.name or ""), option.opts[-1]
        if value not in (None, False) and given(option) and name not in UNTOLD:
            words.append(
                name if value is True else f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
            )
    return " ".join(words)


def _key() -> str:
    from hfzmq.cli.options import KEY_FILE

    return click.get_current_context().find_root().meta.get(KEY_FILE) or ""


def _show(name: str, told: Mapping[str, Any], output: str) -> None:
    from hfzmq.cli.bench.table import lines
    from hfzmq.cli.format import json_text

    click.echo(json_text({name: told}) if output == "json" else "\n".join(lines(name, told)))
