"""Notices reach people: a real webhook, a real mail server, programs; and no channel hurts another."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfzmq.alarm_channels import Channel, Url
from hfzmq.daemon.notify import Notifier
from hfzmq.daemon.notify.notifier import UNDER_WAY_MAX
from tests.integration.notify_world import (
    MailServer,
    Webhook,
    alive,
    family,
    free_port,
    hanging_host,
    looped,
    notice,
    until,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
SECRET = "s3cr3t-w0rd"


def webhook(name: str, port: int, *, timeout_ms: int = 10_000, retry_for_ms: int = 900_000) -> Channel:
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    url = Url(f"json://nurse:{SECRET}@127.0.0.1:{port}/alarms")
    return Channel(name, "apprise", url=url, timeout_ms=timeout_ms, retry_for_ms=retry_for_ms)


def mail(name: str, port: int, from_step: int = 1) -> Channel:
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    url = f"mailto://nurse:{SECRET}@127.0.0.1:{port}?from=mesh@ward.example&to=desk@ward.example"
    return Channel(name, "apprise", from_step, url=Url(url))


def shell(name: str, text: str, *, timeout_ms: int = 10_000, retry_for_ms: int = 900_000) -> Channel:
    argv = ("/bin/sh", "-c", text)
    return Channel(name, "command", argv=argv, timeout_ms=timeout_ms, retry_for_ms=retry_for_ms)


def test_a_webhook_and_a_mail_server_get_each_notice_with_its_marks() -> None:
    with (
        Webhook() as hook,
        MailServer() as mails,
        looped(Notifier([webhook("hook", hook.port), mail("mail", mails.port)])) as loop,
    ):
        for episode in (41, 42, 43):
            loop.notifier.post(notice(episode))
        loop.until(lambda: len(loop.delivered("hook")) == len(loop.delivered("mail")) == 3)
    assert sorted(hook.episodes()) == sorted(mails.episodes()) == [41, 42, 43]
    body = next(body for body in hook.bodies if body["episode_id"] == "42")
    assert (body["step"], body["mesh"]) == ("1", "ward")
    assert body["title"] == "RED bed-7 [hfzmq episode 42 step 1]"
    assert "Probability: 0.73\nPatient: bed-7\nSince: 2023-11-14 22:13:20 UTC\n" in body["message"]
    assert "not a medical device" in body["message"]
    found = next(mail for mail in mails.mails if mail["X-Hfzmq-Episode"] == "42")
    assert found["Subject"] == "RED bed-7 [hfzmq episode 42 step 1]"
    assert (found["References"], found["X-Hfzmq-Step"]) == ("<hfzmq.episode.42@ward>", "1")
    text = next(part for part in found.walk() if part.get_content_type() == "text/plain").get_payload(decode=True)
    assert isinstance(text, bytes)
    assert b"Probability: 0.73\nPatient: bed-7\n" in text.replace(b"\r\n", b"\n"), text
    assert [told.ok for told in loop.told] == [True] * 6


def test_a_hanging_a_refusing_and_a_crashing_channel_delay_no_other() -> None:
    with (
        Webhook() as hook,
        MailServer() as mails,
        hanging_host() as silent,
        looped(
            Notifier(
                [
                    Channel("log", "log"),
                    webhook("hangs", silent, timeout_ms=120_000),
                    webhook("refuses", free_port()),
                    shell("crashes", "kill -9 $PPID"),
                    webhook("hook", hook.port),
                    mail("mail", mails.port),
                ]
            )
        ) as loop,
    ):
        loop.notifier.post(notice(1))
        loop.until(lambda: loop.delivered("hook") and loop.delivered("mail"))  # both have loaded Apprise now
        for episode in range(2, 6):
            loop.notifier.post(notice(episode))
        loop.until(lambda: len(loop.delivered("hook")) == len(loop.delivered("mail")) == 5)  # long before that hangs
        assert sorted(loop.delivered("log")) == sorted(hook.episodes()) == sorted(mails.episodes()) == [*range(1, 6)]
        assert not loop.failed("hangs") + loop.failed("refuses") + loop.failed("crashes")  # still being tried


def test_nothing_that_the_loop_calls_ever_waits() -> None:
    with looped(Notifier([shell("hangs", "sleep 100"), shell("good", "true")])) as loop:
        longest_s = 0.0
        for episode in range(1000):
            began = time.monotonic()
            loop.notifier.post(notice(episode))
            loop.notifier.results()
            loop.notifier.withdraw(episode - 5)
            longest_s = max(longest_s, time.monotonic() - began)
        assert longest_s < 0.1, longest_s


def test_what_fails_is_tried_again_until_the_server_comes_up(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    caplog.set_level(logging.INFO)
    with looped(Notifier([webhook("hook", port)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: "channel hook does not deliver: the connection was refused" in caplog.text)
        with Webhook(port) as hook:
            loop.until(lambda: loop.delivered("hook") == [7])
            assert hook.episodes() == [7]
        loop.until(lambda: "channel hook delivers again" in caplog.text)
    assert caplog.text.count("does not deliver") == 1  # one line a change, not one an attempt


def test_an_answer_that_is_an_error_is_no_delivery_and_is_told_as_failed_when_its_time_is_over() -> None:
    with Webhook(answer=503) as hook, looped(Notifier([webhook("hook", hook.port, retry_for_ms=1200)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.failed("hook"))
        assert loop.failed("hook") == ["the host answered 503"]
        hook.answer = 200
        loop.notifier.post(notice(7))  # what has failed is tried anew when it is posted anew
        loop.until(lambda: loop.delivered("hook") == [7])


def test_a_hanging_attempt_is_killed_when_its_time_is_over_and_the_next_one_is_made() -> None:
    with (
        hanging_host() as silent,
        looped(Notifier([webhook("hangs", silent, timeout_ms=300, retry_for_ms=700)])) as loop,
    ):
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.failed("hangs"))
        assert loop.failed("hangs") == ["not done in 0.3 s, killed"]


def test_posting_again_what_is_under_way_or_delivered_sends_nothing_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with looped(Notifier([shell("slow", f"echo ran >> {runs}; sleep 0.5")])) as loop:
        for _ in range(50):
            loop.notifier.post(notice(7))
        until(lambda: runs.exists())
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("slow") == [7])
        for _ in range(2):
            loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("slow") == [7, 7])  # the mesh may not have heard of it the first time
        assert runs.read_text() == "ran\n"
        loop.notifier.post(notice(7, step=2))
        loop.until(lambda: loop.delivered("slow") == [7, 7, 7])
        assert runs.read_text() == "ran\nran\n"


def test_a_step_uses_the_channels_from_its_own_and_earlier_steps_save_those_that_have_it_already() -> None:
    channels = [Channel(name, "log", step) for name, step in (("one", 1), ("two", 2), ("three", 3))]
    with looped(Notifier(channels)) as loop:
        for step in (1, 2, 3):
            loop.notifier.post(notice(7, step), already={"one"} if step == 2 else ())
        loop.until(lambda: len(loop.told) == 5)
    assert [(told.step, told.channel) for told in loop.told] == [
        (1, "one"), (2, "two"), (3, "one"), (3, "two"), (3, "three"),
    ]  # fmt: skip


def test_what_is_withdrawn_before_it_began_is_never_sent_and_what_failed_is_not_tried_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with looped(Notifier([shell("slow", f"echo $HFZMQ_ALARM_EPISODE_ID >> {runs}; sleep 0.4; false")])) as loop:
        loop.notifier.post(notice(1))
        until(lambda: runs.exists() and runs.read_text() == "1\n")
        for episode in (2, 3):
            loop.notifier.post(notice(episode))
        loop.notifier.withdraw(1)
        loop.notifier.withdraw(2)
        until(lambda: runs.read_text() == "1\n3\n3\n")
        loop.until(lambda: loop.told)
        assert [(told.episode_id, told.over) for told in loop.told] == [(3, False)]


def test_a_red_is_the_next_that_a_channel_delivers_also_where_a_thousand_notices_wait_for_it(tmp_path: Path) -> None:
    """Once: the thousand-first had to wait until one of the thousand was over, whatever it was."""
    runs, go = tmp_path / "runs", tmp_path / "go"
    wait = f"echo $HFZMQ_ALARM_EPISODE_ID >> {runs}; until [ -e {go} ]; do sleep 0.05; done"
    with looped(Notifier([shell("slow", wait, timeout_ms=60_000)])) as loop:
        for episode in range(1, UNDER_WAY_MAX + 1):
            loop.notifier.post(notice(episode)._replace(cause="AMBER"))
        until(lambda: runs.exists() and runs.read_text())
        assert not loop.notifier.has_room("slow", "AMBER")
        assert loop.notifier.has_room("slow", "RED")
        loop.notifier.post(notice(5000)._replace(cause="AMBER"))
        loop.notifier.post(notice(5001))
        loop.until(lambda: loop.failed("slow") == ["1000 notices are under way already"])
        go.touch()
        loop.until(lambda: len(loop.delivered("slow")) >= 2)
    assert loop.delivered("slow")[1] == 5001


def test_whoever_no_longer_leads_ends_its_process_and_all_that_it_has_started(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    slow = shell("slow", f"echo $HFZMQ_ALARM_EPISODE_ID >> {runs}; test $HFZMQ_ALARM_EPISODE_ID -gt 3 || sleep 60")
    with looped(Notifier([slow])) as loop:
        loop.notifier.post(notice(1))
        until(lambda: runs.exists() and runs.read_text() == "1\n")
        for episode in (2, 3):
            loop.notifier.post(notice(episode))
        pid = loop.notifier.pid
        assert pid
        processes = family(pid)
        assert len(processes) >= 3, "the process, its worker, the command"
        loop.notifier.withdraw_all()
        until(lambda: not any(map(alive, processes)))
        assert loop.notifier.pid is None
        loop.notifier.post(notice(4))  # it leads again
        loop.until(lambda: loop.delivered("slow") == [4])
        assert runs.read_text() == "1\n4\n"
        assert loop.notifier.pid not in (None, pid)


def test_a_channel_that_fails_is_told_at_once_and_then_not_again_until_it_is_over() -> None:
    with looped(Notifier([shell("dead", "exit 3", retry_for_ms=2500)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.told)
        (first,) = loop.told
        assert (first.ok, first.over, first.why, first.tries) == (False, False, "it ended with 3", 1)
        loop.until(lambda: loop.failed("dead"))
        (_, last) = loop.told
        assert (last.ok, last.over) == (False, True)
        assert last.tries > 2


def test_a_command_that_floods_its_output_is_ended_in_time_and_delays_no_other(tmp_path: Path) -> None:
    flood = shell("flood", "while :; do echo flood; echo flood >&2; done", timeout_ms=700, retry_for_ms=0)
    quick = shell("quick", f"echo $HFZMQ_ALARM_EPISODE_ID >> {tmp_path}/quick")
    with looped(Notifier([flood, quick])) as loop:
        for episode in range(1, 6):
            loop.notifier.post(notice(episode))
        took_s = loop.until(lambda: len(loop.delivered("quick")) == 5)
        assert took_s < 5, "while the other floods"
        loop.until(lambda: len(loop.failed("flood")) == 5)
        assert set(loop.failed("flood")) == {"not done in 0.7 s, killed"}


def test_a_log_channel_writes_one_line_whatever_the_patient_is_called(caplog: pytest.LogCaptureFixture) -> None:
    with looped(Notifier([Channel("log", "log")])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("log") == [7])
        assert loop.notifier.pid is None  # no process for that
    assert [record.getMessage() for record in caplog.records] == [
        "ALARM RED bed-7 [hfzmq episode 7 step 1]: RED: high risk"
    ]


def test_a_command_gets_the_notice_on_stdin_and_in_its_environment_and_no_shell_reads_its_arguments(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    code = "import json, os, sys; d = json.load(sys.stdin); d['env'] = {k: v for k, v in os.environ.items()}; "
    code += "d['argv'] = sys.argv[2:]; open(sys.argv[1], 'w').write(json.dumps(d))"
    argv = (sys.executable, "-c", code, str(out), "$HOME; `date`", "two words")
    with looped(Notifier([Channel("run", "command", argv=argv)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.delivered("run") == [7])
    got = json.loads(out.read_text())
    assert got["env"].get("PYTHONPATH") == os.environ.get("PYTHONPATH")
    assert (got["episode_id"], got["step"], got["patient_id"], got["cause"]) == (7, 1, "bed-7", "RED")
    assert got["argv"] == ["$HOME; `date`", "two words"]
    assert {key: value for key, value in got["env"].items() if key.startswith("HFZMQ_ALARM_")} == {
        "HFZMQ_ALARM_EPISODE_ID": "7",
        "HFZMQ_ALARM_STEP": "1",
        "HFZMQ_ALARM_PATIENT_ID": "bed-7",
        "HFZMQ_ALARM_CAUSE": "RED",
        "HFZMQ_ALARM_MESH": "ward",
        "HFZMQ_ALARM_TITLE": notice(7).title,
        "HFZMQ_ALARM_BODY": notice(7).body,
    }


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("/no/such/program",), "it cannot be run: No such file or directory"),
        (("/bin/sh", "-c", "exit 3"), "it ended with 3"),
        (("/bin/sh", "-c", "kill -11 $$"), "signal 11 ended it"),
        (("/bin/sh", "-c", "kill -9 $PPID; sleep 9"), "its process died"),
    ],
)
def test_a_command_that_fails_is_told_with_what_was_wrong(argv: tuple[str, ...], why: str) -> None:
    with looped(Notifier([Channel("run", "command", argv=argv, retry_for_ms=0)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.failed("run") == [why])


@pytest.mark.parametrize("end", ["wait", "exit 0", "kill -9 $PPID"], ids=["hangs", "ends well", "kills its worker"])
def test_a_command_that_forks_leaves_nothing_behind(tmp_path: Path, end: str) -> None:
    pids = tmp_path / "pids"
    text = f"sleep 1000 & (sleep 1000 & echo $! >> {pids}); echo $! $$ >> {pids}; {end}"
    with looped(Notifier([shell("forks", text, timeout_ms=500, retry_for_ms=0)])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.told)
        started = [int(pid) for pid in pids.read_text().split()]
        assert len(started) == 3
        until(lambda: not any(map(alive, started)))


def test_the_bell_rings_on_the_terminal_of_the_daemon_and_only_there() -> None:
    code = "from tests.integration.test_notify import ring; ring()"
    master, slave = os.openpty()
    owning = "import os; os.open(os.ttyname(0), os.O_RDWR); "  # a session's first process to open a terminal owns it
    daemon = subprocess.Popen([sys.executable, "-c", owning + code], stdin=slave, start_new_session=True)
    os.close(slave)
    with daemon:
        assert select.select([master], [], [], 20)[0]
        assert os.read(master, 100) == b"\a"
        assert daemon.wait(20) == 0
    os.close(master)
    without = subprocess.run([sys.executable, "-c", code], start_new_session=True, timeout=30, check=False)
    assert without.returncode == 7


def ring() -> None:
    """Run by a daemon of the test above: 0 when it rang, 7 when there was nothing to ring."""
    with looped(Notifier([Channel("bell", "bell")])) as loop:
        loop.notifier.post(notice(7))
        loop.until(lambda: loop.told)
    sys.exit(0 if loop.delivered("bell") else 7 if loop.failed("bell") == ["there is no terminal"] else 1)


def test_no_secret_is_in_a_log_a_result_an_error_or_a_process_table(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Webhook(answer=401) as hook, hanging_host() as silent:
        strange = Channel("strange", "apprise", url=Url(f"nosuch://{SECRET}@host/{SECRET}"), retry_for_ms=0)
        channels = [
            strange,
            webhook("refuses", free_port(), retry_for_ms=0),
            webhook("hangs", silent, timeout_ms=300, retry_for_ms=0),
            webhook("denies", hook.port, retry_for_ms=0),
            mail("mail", free_port()),
        ]
        with looped(Notifier(channels)) as loop:
            loop.notifier.post(notice(7))
            loop.until(lambda: sum(told.over for told in loop.told) == 4)  # a mail is tried again
            assert loop.notifier.pid
            for pid in family(loop.notifier.pid):
                for file in ("cmdline", "environ"):
                    assert SECRET.encode() not in Path(f"/proc/{pid}/{file}").read_bytes()
            shown = f"{loop.told} {channels} {[channel.url for channel in channels]} {caplog.text}"
    assert SECRET not in shown
    assert "json://..." in shown
    assert loop.failed("strange") == ["Apprise does not take this nosuch://... URL"]
    assert loop.failed("denies") == ["the host answered 401"]
