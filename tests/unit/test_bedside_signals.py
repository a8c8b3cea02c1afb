"""A bedside that is asked to end while it waits for news ends: no signal leaves it waiting for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A signal every millisecond, and waits of a millisecond: soon one comes just as a wait is over.
CODE = """
import signal, time
from hfzmq.cli.bedside import launch
from hfzmq.cli.bedside.launch import Settings
from hfzmq.cli.bedside.run import Bedside

made = []
launch._source = lambda settings: (type("Source", (), {"batch": True, "close": lambda self: None})(), None)
launch.RiskModel = type("Model", (), {"load": staticmethod(lambda **_: None)})
class Client:
    earlier = 0
    def __init__(self, config, client_id, queue_dir, on_event, seed): self.state = type("State", (), {"pending": 0})
    def __enter__(self): return self
    def __exit__(self, *about): pass
    def seen(self, reports): pass
    def raise_failure(self): pass
launch.Client = Client
launch._alarms = lambda settings, source: None
launch._in_lines = lambda settings, client, csv, bedside: made.append(bedside(lambda event: None, lambda: None)) or 0
launch.launch(Settings(*[None] * 8, False, None, None, False))
(bedside,) = made
signal.signal(signal.SIGALRM, lambda number, frame: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00101)
until = time.monotonic() + 2
while time.monotonic() < until:
    bedside._wait_for_news(0.001)
signal.setitimer(signal.ITIMER_REAL, 0)
print("ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX timers")
def test_a_signal_that_comes_as_a_wait_ends_does_not_make_it_wait_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ended"), done.stderr
