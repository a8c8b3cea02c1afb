"""Many storms on all cores: ``make storms N=100000``, or ``python -m tests.simulation.campaign --storms N``.

Ctrl-C ends it when the storms under way are over (once more: at once); the next call goes on with the next seeds that
nobody has run. Each storm of the default size has 5 peers and 100 lease times of chaos.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from types import FrameType

import click

from tests.provenance import ROOT, core, provenance
from tests.simulation.compiled import COMPARED, CannotCompile, as_interpreted, build
from tests.simulation.sized import FULL, Size, Told, replay, tell
from tests.simulation.tally import Tally

STORM_SECONDS_MAX = 300  # a storm of the full size takes some seconds
SAVE_SECONDS = 30.0
COLLECT_AFTER = (20_000, 20, 20)  # a third faster than the default: a storm's many small objects are seldom cycles
RESULTS = ROOT / "docs" / "results" / "storms.json"


class Overlong(BaseException):
    """A storm does not end. Not an Exception: the storm must not take it for the core's."""


def _overlong(number: int, frame: FrameType | None) -> None:
    raise Overlong


def one(seed: int, size: Size, seconds_max: float = STORM_SECONDS_MAX, sources: str = "") -> Told:
    """Run a storm; one that does not end is a violation too. ``sources``: this runs compiled code, and the interpreter
    runs every COMPARED-th storm on the sources there, for comparison."""
    before = signal.signal(signal.SIGALRM, _overlong)
    signal.setitimer(signal.ITIMER_REAL, seconds_max)
    try:
        told = tell(seed, size)
        return as_interpreted(told, size, sources) if sources and seed % COMPARED == 0 else told
    except Overlong:
        return Told(seed, 0, 0, 0, 0, 0, 0, False, f"the storm did not end within {seconds_max:g} s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _worker() -> None:
    gc.set_threshold(*COLLECT_AFTER)
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal tells everybody; only the campaign may decide
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_the_campaign, daemon=True).start()


def _end_with_the_campaign() -> None:
    campaign = parent_process()
    if campaign is not None:
        campaign.join()
        os._exit(1)


class Line:
    """The progress line, and what stands above it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()
        self._shown = self._began
        self.storms = self.events = self.violations = 0

    def add(self, told: Told) -> None:
        """One storm more."""
        self.storms += 1
        self.events += told.events
        self.violations += told.violation is not None

    def show(self, last: bool = False) -> None:
        """Now and then: live on a terminal, else a line every half a minute."""
        now = time.monotonic()
        if not last and now - self._shown < (0.2 if self._live else 30.0):
            return
        self._shown = now
        seconds = max(now - self._began, 1e-3)
        left = (self._number - self.storms) * seconds / self.storms if self.storms else 0.0
        text = (
            f"{self.storms:,} of {self._number:,} storms  {self.events / seconds:,.0f} events/s  "
            f"{self.violations} violations  {_span(seconds)} gone, {_span(left) if self.storms else '?'} left"
        )
        click.echo(("\r\x1b[K" if self._live else "") + text, err=True, nl=last or not self._live)

    def above(self, text: str) -> None:
        """Something that stays."""
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)
        click.echo(text)


def _span(seconds: float) -> str:
    minutes, hours = int(seconds / 60), int(seconds / 3600)
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


class Campaign:
    """Storms in worker processes; what they did goes into the tally."""

    def __init__(
        self, tally: Tally, size: Size, jobs: int, stop_at_violation: bool = False, compiled: bool = False
    ) -> None:
        self._tally = tally
        self._size = size
        self._jobs = jobs
        self._sources = str(ROOT) if compiled else ""
        self._stop_at_violation = stop_at_violation
        self.stopping = False
        self.violations = 0

    def stop(self, *signalled: object) -> None:
        """Begin no more storms; a second time: end at once."""
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True

    def run(self, seeds: Iterator[int], line: Line) -> None:
        """Until the seeds are used up or it is told to stop. What is done is saved, whatever happens."""
        pool = ProcessPoolExecutor(self._jobs, get_context("spawn"), _worker)
        saved, due = time.monotonic(), 0.0  # saved at once when the first is over: what cannot be kept is told early
        under_way: set[Future[Told]] = set()
        try:
            while True:
                while not self.stopping and len(under_way) < 2 * self._jobs:
                    seed = next(seeds, None)
                    if seed is None:
                        break
                    under_way.add(pool.submit(one, seed, self._size, STORM_SECONDS_MAX, self._sources))
                if self.stopping:
                    under_way = {future for future in under_way if not future.cancel()}
                if not under_way:
                    return
                done, under_way = wait(under_way, 0.5, FIRST_COMPLETED)
                for future in done:
                    self.take(future.result(), line)
                line.show()
                if done and time.monotonic() > due:
                    self._tally.spent(time.monotonic() - saved)
                    self._tally.save()
                    saved = time.monotonic()
                    due = saved + SAVE_SECONDS
        finally:
            self._tally.spent(time.monotonic() - saved)
            self._tally.save()
            pool.shutdown(wait=False, cancel_futures=True)

    def take(self, told: Told, line: Line) -> None:
        """A storm is over."""
        self._tally.add(told)
        line.add(told)
        if told.violation:
            self.violations += 1
            line.above(f"seed {told.seed}: {told.violation}\n    replay it: {replay(told.seed, self._size)}")
            self.stopping = self.stopping or self._stop_at_violation


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """No other campaign writes to this folder meanwhile. The lock is on the folder itself and leaves nothing behind."""
    folder = os.open(file.resolve().parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or name a file in another folder with --results"
            raise click.ClickException(f"another campaign writes to {file.parent}; {hint}") from None
        yield
    finally:
        os.close(folder)


def _compile() -> bool:
    """Let the workers, which are told this process's path, find the compiled copy first; False if there can be none."""
    click.echo("compiling, a minute or two ...", err=True)
    try:
        sys.path.insert(0, str(build()))
    except CannotCompile as error:
        click.echo(f"not compiled, so it takes three times as long: {error}", err=True)
        return False
    return True


@click.command()
@click.option("--storms", "number", default=1000, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--first-seed", type=click.IntRange(0), help="Default: the first that no run in the results has used.")
@click.option("--peers", default=FULL.peers, show_default=True, type=click.IntRange(0), help="0: each seed draws it.")
@click.option("--chaos-leases", default=FULL.chaos_leases, show_default=True, type=click.IntRange(3))
@click.option(
    "--results", "file", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, help="JSON, added to."
)
@click.option("--first", "stop_at_violation", is_flag=True, help="Stop at the first violation.")
@click.option("--compiled", is_flag=True, help="Compile the core and the simulation first: three times as fast.")
def main(
    number: int,
    jobs: int,
    first_seed: int | None,
    peers: int,
    chaos_leases: int,
    file: Path,
    stop_at_violation: bool,
    compiled: bool,
) -> None:
    """Run storms on all cores and add what they did to the results; exit 1 if an invariant was broken."""
    size = Size(peers, chaos_leases)
    if not file.resolve().parent.is_dir():
        raise click.ClickException(f"no folder {file.parent} to keep the results in")
    with alone(file):
        compiled = compiled and _compile()
        tally = Tally(file, provenance(), size, compiled, core())
        campaign, line = Campaign(tally, size, jobs, stop_at_violation, compiled), Line(number)
        signal.signal(signal.SIGINT, campaign.stop)
        signal.signal(signal.SIGTERM, campaign.stop)
        try:
            campaign.run(tally.next_seeds(first_seed, number), line)
        except (KeyboardInterrupt, BrokenProcessPool) as error:
            line.show(last=True)
            click.echo(f"ended at once ({type(error).__name__}); what was done is in {file}", err=True)
            for worker in active_children():
                worker.kill()
            os._exit(2)  # the storms under way are not waited for
        line.show(last=True)
    if campaign.stopping:
        click.echo("stopped; the same command goes on from here", err=True)
    sys.exit(1 if campaign.violations else 0)


if __name__ == "__main__":
    main()
