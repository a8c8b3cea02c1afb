"""The query thread: a bounded number of jobs, and an end that comes. Each story has a process, for it may hang."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SETTING = """
import contextlib, socket, threading
from collections import Counter
from hfzmq.config import Config, PeerAddress
from hfzmq.daemon import queries
from hfzmq.daemon.sockets import Sockets
from hfzmq.wire.requests import Reports, decode_reply

ahead = lambda: True

class Board:
    def read_ahead(self, patients): return ahead()

class Reader:
    fields = ()
    board = Board()
    def __init__(self, path): pass
    def snapshot(self): return contextlib.nullcontext()
    def applied(self): return 1
    def reports(self, *query): return read()
    def close(self): pass

queries.Reader = Reader
begun, go = threading.Event(), threading.Event()
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
numbers = [one.getsockname()[1] for one in free]
for one in free: one.close()
sockets = Sockets(Config("m", bytes(16), (PeerAddress(1, "127.0.0.1", *numbers),)), 1, Counter())
about = {"peer": 1, "stale_ms": 0, "commit": 9, "log_now_ms": 0}
them = queries.Queries("file", sockets.answers_sender(), lambda: about)
ask = lambda: them.ask_page((b"route", b""), Reports(0, None, 10, None, None, False))
"""


def run(story: str, seconds: float = 8) -> str:
    """The standard output of a story; AssertionError when it fails or does not end."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", SETTING + textwrap.dedent(story)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"it hangs; so far: {late.stdout!r} {late.stderr!r}") from None
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_read_is_answered_and_the_thread_ends_with_the_daemon() -> None:
    out = run(
        """
        read = lambda: []
        assert ask()
        route, empty, frame = sockets.answers.recv_multipart()
        print(route, decode_reply(frame)["status"])
        them.close()
        sockets.flush_and_close(100)
        """
    )
    assert out.split() == ["b'route'", "OK"]


def test_jobs_beyond_the_bound_are_refused_while_a_read_takes_long() -> None:
    out = run(
        """
        def read():
            begun.set()
            go.wait()
            return []
        assert ask()
        begun.wait()
        count = 0
        while ask(): count += 1
        print(count == queries.JOBS_MAX)
        go.set()
        for _ in range(count + 1): sockets.answers.recv_multipart()
        them.close()
        sockets.flush_and_close(100)
        """
    )
    assert out.split() == ["True"]


def test_a_read_that_fails_is_an_answer_that_says_so_and_the_next_one_works() -> None:
    out = run(
        """
        from hfzmq.errors import DataDirError
        answers = iter((DataDirError("rotten", hint="look"), None))
        def read():
            error = next(answers)
            if error: raise error
            return []
        for _ in range(2):
            assert ask()
            print(decode_reply(sockets.answers.recv_multipart()[2])["status"])
        them.close()
        sockets.flush_and_close(100)
        """
    )
    assert out.split() == ["REFUSED", "OK"]


def test_a_daemon_stops_though_a_read_is_still_under_way() -> None:
    # Once: after two seconds ``close`` gives up on the thread, its socket stays open and ``context.term`` waits for it
    # for ever: SIGTERM never ends the process, the store is never closed, and a ContextTerminated traceback is printed.
    out = run(
        """
        def read():
            begun.set()
            go.wait()
            return []
        threading.Timer(3, go.set).start()
        assert ask()
        begun.wait()
        them.close()
        sockets.flush_and_close(100)
        print("ended")
        """
    )
    assert out.split() == ["ended"]


def test_a_fault_in_one_read_does_not_end_all_reads() -> None:
    # Once: only HfzmqError is caught; anything else ends the thread, all later reads wait in a queue that nobody
    # empties, then all are BUSY, and ``close`` blocks for ever in ``put`` on the full queue.
    out = run(
        """
        answers = iter((ValueError("a fault"), None))
        def read():
            error = next(answers)
            if error: raise error
            return []
        assert ask() and ask()
        for _ in range(2): print(decode_reply(sockets.answers.recv_multipart()[2])["status"])
        them.close()
        sockets.flush_and_close(100)
        """,
        seconds=4,
    )
    assert out.split() == ["REFUSED", "OK"]


def test_what_boards_show_is_read_ahead_while_the_loop_rests_and_a_fault_in_that_ends_nothing() -> None:
    out = run(
        """
        import time
        queries.LOOK_AHEAD_EVERY_S = queries.SCRUB_EVERY_S = 0.001
        rests_ms, looks, faults = 0.0, [], iter(())
        def ahead():
            looks.append(1)
            for error in faults: raise error
            return True
        them._rests_ms = lambda: rests_ms
        read = lambda: []
        def answered():
            assert ask()
            print(decode_reply(sockets.answers.recv_multipart()[2])["status"], len(looks))
        answered()
        looks.clear()
        threading.Event().wait(0.2)
        answered()  # nothing is read ahead while it never rests
        faults = iter((ValueError("a fault"),))
        rests_ms = queries.RESTS_MS
        while not looks: time.sleep(0.001)
        threading.Event().wait(0.1)
        answered()  # once, with a fault
        them._look_at = 0.0
        while len(looks) < 4: time.sleep(0.001)
        print("goes on")
        them.close()
        sockets.flush_and_close(100)
        """
    )
    lines = out.splitlines()
    assert lines[1:] == ["OK 0", "OK 1", "goes on"], out


SCRUBBED = """
import time
class Scrubber:
    passes = 0
    def step(self): steps.append(time.monotonic())
    def close(self): pass
steps, rests_ms = [], 0.0
queries.SCRUB_EVERY_S = 0.001
them._scrubber, them._rests_ms = Scrubber(), lambda: rests_ms
def steps_within(seconds):
    them.ask((b"route", b""), lambda: b"")  # the thread sees what has changed
    sockets.answers.recv_multipart()
    steps.clear()
    threading.Event().wait(seconds)
    return len(steps)
"""


def test_a_disk_that_cannot_be_asked_by_the_scrub_ends_no_reads() -> None:
    # Once: only DiskFailed is caught. The scrub asks which file has the name now, and that may fail with any OSError:
    # the thread ended, and each read was BUSY for ever while the peer was ready.
    out = run(
        SCRUBBED
        + """
tried = threading.Event()
def step():
    tried.set()
    raise PermissionError("no")
queries.SCRUB_AT_LEAST_EVERY_S = 0
them._scrubber.step = step
tried.wait()
read = lambda: []
assert ask()
print(decode_reply(sockets.answers.recv_multipart()[2])["status"], them.alive)
them.close()
print(them.alive)
sockets.flush_and_close(100)
"""
    )
    assert out.split() == ["OK", "True", "False"]


def test_the_scrub_gives_way_to_a_loop_that_writes_and_goes_on_when_it_rests() -> None:
    out = run(
        SCRUBBED
        + """
queries.SCRUB_AT_LEAST_EVERY_S = 60
them._scrub_by = time.monotonic() + 60
print(steps_within(0.3))
rests_ms = queries.RESTS_MS
print(steps_within(0.3) > 1)
them.close()
sockets.flush_and_close(100)
"""
    )
    assert out.split() == ["0", "True"]


def test_a_loop_that_never_rests_does_not_keep_the_scrub_from_finding_rot() -> None:
    out = run(
        SCRUBBED
        + """
queries.SCRUB_AT_LEAST_EVERY_S = 0.1
print(1 < steps_within(1.0) < 12)
them.close()
sockets.flush_and_close(100)
"""
    )
    assert out.split() == ["True"]
