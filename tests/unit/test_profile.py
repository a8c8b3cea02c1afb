"""The profile's table knows every module of the daemon, and a look at a stack lands where a reader would put it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.bench.systems import MESH, PLAIN, SKETCH
from hfzmq.errors import HfzmqError
from tests.profile import document, parts, record, threads
from tests.profile.record import FOLLOWER, LEADER, Look, Recorded
from tests.profile.stacks import MAIN, Frame, read
from tests.profile.sums import figures, of_process
from tests.provenance import ROOT

LOOPS = ("daemon", "core", "storage", "wire", "clinical")  # what the loop may call
TURN = "thread (7): MainThread;serve (hfzmq/daemon/serving.py:50);Node.run (hfzmq/daemon/node.py:{})"
COMMIT = TURN.format(181) + ";Node._commit (hfzmq/daemon/node.py:236);Store.write (hfzmq/storage/store.py:147)"
APPLY = COMMIT + ";Store._apply (hfzmq/storage/store.py:311);apply (hfzmq/storage/apply.py:60)"
SQLITE = ";Connection_executemany (__init__.cpython-311.so);sqlite3_step (__init__.cpython-311.so)"
TAKE = TURN.format(176) + ";Intake._read_clients (hfzmq/daemon/intake.py:121)"
STEP = TURN.format(181) + ";Node._step (hfzmq/daemon/node.py:207)"
SEND = ";Socket.send (zmq/sugar/socket.py:713);write (libc.so.6)"


def defined(module: str) -> set[str]:
    """The names of all functions in a module of the product, methods too."""
    path = ROOT / "hfzmq" / f"{module}.py"
    path = path if path.exists() else ROOT / "hfzmq" / module / "__init__.py"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


def modules_that_do_something() -> Iterator[str]:
    for floor in LOOPS:
        for path in (ROOT / "hfzmq" / floor).rglob("*.py"):
            module = path.relative_to(ROOT / "hfzmq").with_suffix("").as_posix().removesuffix("/__init__")
            if defined(module):
                yield module


def test_every_module_that_the_loop_may_call_is_named_so_that_none_hides_in_other() -> None:
    missing = set(modules_that_do_something()) - parts.PART_OF.keys()
    assert not missing, f"say in tests/profile/parts.py whose work they do: {sorted(missing)}"


def test_every_name_in_the_table_is_there_once_and_every_part_is_told() -> None:
    named = [module for modules in parts.MODULES.values() for module in modules.split()]
    assert len(named) == len(set(named)), sorted({one for one in named if named.count(one) > 1})
    for module in named:
        assert (ROOT / "hfzmq" / f"{module}.py").exists() or (ROOT / "hfzmq" / module / "__init__.py").exists(), module
    for module, function in {**parts.FUNCTIONS, **parts.WHOLE}:
        assert function in defined(module), f"{module} has no {function} any more"
    told = {*parts.MODULES, *parts.FUNCTIONS.values(), *parts.WHOLE.values(), *parts.IN_SQLITE.values(), *parts.WAITS}
    assert told - {parts.CALLER} == set(parts.ORDER) - {parts.POLL}
    assert len(parts.ORDER) == len(set(parts.ORDER))


LANDS = {
    TURN.format(172) + ";Poller.poll (zmq/sugar/poll.py:106);zmq_poll (libzmq.so.5);poll (libc.so.6)": parts.IDLE,
    TURN.format(172) + ";Poller.poll (zmq/sugar/poll.py:106);zmq_poll (libzmq.so.5)": parts.POLL,
    TURN.format(172) + ";Poller.poll (zmq/sugar/poll.py:98)": parts.POLL,
    TURN.format(172): parts.LOOP,
    COMMIT + ";fdatasync (libc.so.6)": parts.DISK,
    COMMIT + ";Checkpointer.after_commit (hfzmq/storage/checkpoint.py:40);fdatasync (libc.so.6)": parts.DISK,
    COMMIT + ";Checkpointer.after_commit (hfzmq/storage/checkpoint.py:40);pwrite64 (libc.so.6)": parts.CHECKPOINT,
    COMMIT + ";Store._in_transaction (hfzmq/storage/store.py:234);sqlite3_step (__init__.so)": parts.COMMIT,
    COMMIT + ";Store._persist (hfzmq/storage/store.py:289)" + SQLITE: parts.PERSIST_SQL,
    COMMIT + ";Store._persist (hfzmq/storage/store.py:289);log_row (hfzmq/storage/tables.py:300)": parts.PERSIST,
    APPLY + SQLITE: parts.APPLY_SQL,
    APPLY + ";decode_body (hfzmq/wire/body.py:54);_at_once (hfzmq/wire/rows.py:66);unpackb (_cmsgpack.so)": parts.APPLY,
    APPLY + ";AlarmBook.write (hfzmq/storage/alarm_book.py:106)" + SQLITE: parts.ALARMS_SQL,
    APPLY + ";AlarmBook.reports (hfzmq/storage/alarm_book.py:80);check (hfzmq/clinical/alarm/ward.py:9)": parts.JUDGED,
    TAKE + ";Desk.take (hfzmq/daemon/desk.py:117);decode_request (hfzmq/wire/requests.py:187)": parts.REQUESTS,
    TAKE + ";Sockets.take (hfzmq/daemon/sockets.py:97);take (hfzmq/daemon/curve.py:52)": parts.RECEIVE,
    STEP + ";Replica.step (hfzmq/core/replica.py:146);Place.__init__ (<string>)": parts.CORE,
    STEP + ";Voice.send (hfzmq/daemon/voice.py:40);encode (hfzmq/wire/peers.py:80)": parts.PEERS,
    STEP + ";Voice.send (hfzmq/daemon/voice.py:40);Links.send (hfzmq/daemon/links.py:160)" + SEND: parts.SEND,
    STEP + ";Voice.publish (hfzmq/daemon/voice.py:44);encode (hfzmq/wire/peers.py:80)": parts.BEATS,
    STEP + ";Desk.answered (hfzmq/daemon/desk.py:200);pack (hfzmq/wire/fields.py:20)": parts.ACKS,
    STEP + ";Desk.answered (hfzmq/daemon/desk.py:200);Sockets.answer (hfzmq/daemon/sockets.py:114)" + SEND: parts.SEND,
    STEP + ";chained (hfzmq/core/types.py:84);gc_collect_main (libpython3.11.so)": parts.GARBAGE,
    TURN.format(182) + ";Chores.turn (hfzmq/daemon/chores.py:83);Links.send (hfzmq/daemon/links.py:1)": parts.CHORES,
    "thread (7): MainThread;somebody (else.py:1)": parts.OTHER,
}


@pytest.mark.parametrize("line", LANDS)
def test_a_look_lands_in_the_part_that_a_reader_would_give_it(line: str) -> None:
    (stack,) = read(f"{line} 3\n")
    assert (stack.tid, stack.thread, stack.looks) == (7, MAIN, 3)
    assert parts.place_of(stack.frames).part == LANDS[line]


def test_a_function_is_found_by_its_own_name_whatever_it_is_in() -> None:
    (stack,) = read(
        "thread (0x1F): queries;Store.write.<locals>.<lambda> (hfzmq/storage/store.py:1);a::b(c (d)) (x.so) 1"
    )
    assert stack[:2] == (31, "queries")
    assert stack.frames == (Frame("write", "hfzmq/storage/store.py", "storage/store"), Frame("a::b(c (d))", "x.so", ""))


@pytest.mark.parametrize("line", ["run (hfzmq/daemon/node.py:1) 4", "thread (7): MainThread;run (a.py:1)", "nonsense"])
def test_what_py_spy_does_not_write_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no stack"):
        read(line)


# ------------------------------------------------------------ figures

LINES = (
    f"{TAKE};Desk.take (hfzmq/daemon/desk.py:117) 30",
    f"{COMMIT};fdatasync (libc.so.6) 40",
    f"{APPLY}{SQLITE} 10",
    "thread (7): MainThread;somebody (else.py:1) 20",
    "thread (8): queries;take (hfzmq/daemon/desk.py:117) 999",
)
LOOK = Look(read("\n".join(LINES)), 0.0042, {threads.LOOP: 0.003, threads.CARRIERS: 0.001, threads.OTHERS: 0.0002})


def test_the_parts_add_up_to_what_the_kernel_counted_and_waiting_costs_no_cpu() -> None:
    told = of_process(LOOK, 10)
    assert told["looks"] == 100
    assert told["cpu_us"] == 420
    assert told["threads_cpu_us"] == {threads.LOOP: 300, threads.CARRIERS: 100, threads.OTHERS: 20}
    assert {part: tuple(one.values()) for part, one in told["parts"].items()} == {
        parts.DISK: (0.4, 0),
        parts.REQUESTS: (0.3, 150),
        parts.APPLY_SQL: (0.1, 50),
        parts.OTHER: (0.2, 100),
    }
    assert told["other"] == {"else.py somebody": 0.2}


@pytest.mark.parametrize(("look", "reports"), [(LOOK._replace(stacks=[]), 10), (LOOK, 0)])
def test_from_nothing_no_figure_is_made(look: Look, reports: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        of_process(look, reports)


def told() -> dict[str, Any]:
    run = figures(Recorded(10, 5.0, {LEADER: LOOK, FOLLOWER: LOOK}))
    return {
        "workloads": {"64 x 1": {MESH: run, PLAIN: run, SKETCH: run}}, "command": "python -m tests.profile",
        "date": "2026-11-22", "commit": "0123456789abcdef", "dirty": False, "source": "feed", "py_spy": "0.4.3",
        "cores": 2, "load_average_1min": 0.5, "disk": {"fsync_p50_ms": 0.045},
    }  # fmt: skip


def test_only_what_is_between_the_marks_of_a_document_changes() -> None:
    text = f"before\n{document.BEGIN}old\n{document.END} after\n"
    new = document.put(text, told())
    assert new.startswith(f"before\n{document.BEGIN}")
    assert new.endswith(f"{document.END} after\n")
    assert "old" not in new
    assert f"| {parts.REQUESTS} | 150 | 150 | 150 | 150 | 30.0% | 30.0% |" in new
    assert document.put(new, told()) == new
    assert document.NOT_YET in document.put(new, None)
    with pytest.raises(ValueError, match="has no"):
        document.put("no marks", told())


def test_the_profile_in_performance_is_that_of_the_results() -> None:
    results, path = ROOT / "docs" / "results" / "profile.json", ROOT / "docs" / "performance.md"
    text = path.read_text()
    found = json.loads(results.read_text()) if results.exists() else None
    assert document.put(text, found) == text, (
        "write it anew: python -m tests.profile.document docs/results/profile.json docs/performance.md"
    )


# ------------------------------------------------------------ looking


def test_without_py_spy_it_says_what_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HfzmqError, match="not installed") as refused:
        record.py_spy()
    assert "make profile" in refused.value.hint


def test_what_each_kind_of_thread_has_spent_between_two_looks_is_told() -> None:
    before = {7: threads.Thread("python", 1.0), 8: threads.Thread("ZMQbg/IO/0", 0.5)}
    after = {
        7: threads.Thread("python", 3.0), 8: threads.Thread("ZMQbg/IO/0", 0.75),
        9: threads.Thread("ZMQbg/Reaper", 0.25), 10: threads.Thread("python", 0.125),
    }  # fmt: skip
    assert threads.spent_s(7, before, after) == {threads.LOOP: 2.0, threads.CARRIERS: 0.5, threads.OTHERS: 0.125}
