"""Mistakes with a mesh: nobody is there, nobody leads, what was asked for is not there, or is not allowed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from unittest import mock

from tests.mistakes.bench import DAEMON_S, Bench, Made, copy_ward, found_ward
from tests.mistakes.chapter import Chapter
from tests.mistakes.files import backed_up, finding
from tests.system.mesh import wait_for

AHEAD_S = 90


class MeshChapter(Chapter):
    """All its mistakes are made in one folder, beside a mesh of three that runs."""

    @contextmanager
    def place(self, folder: Path) -> Iterator[Callable[[], AbstractContextManager[Bench]]]:
        """See Chapter."""
        ward = folder / "ward"
        ward.mkdir()
        found_ward(ward)
        with closing(Bench(ward)) as mesh:
            for peer in (1, 2, 3):
                mesh.serve("--id", peer, "--data-dir", f"data{peer}")
            wait_for(lambda: mesh.hfzmq("status").said.err, lambda: mesh.hfzmq("status").said.code == 0, DAEMON_S)
            done = mesh.hfzmq("keys", "issue", "old", "--role", "client")
            assert done.said.code == 0, done
            assert mesh.hfzmq("keys", "revoke", "old").said.code == 0

            @contextmanager
            def bench() -> Iterator[Bench]:
                yield mesh

            yield bench


CHAPTER = MeshChapter("A mesh that runs")
AWAY = Chapter("A mesh that does not")
mistake, away = CHAPTER.mistake, AWAY.mistake


# ------------------------------------------------------------ nobody there, nobody leads


@away("no daemon runs", 3, "127.0.0.1:7100", "127.0.0.1:7110", "127.0.0.1:7120")
def nobody(at: Bench) -> Made:
    return at.hfzmq("status")


@away("reports are asked for, and no daemon runs", 3, "127.0.0.1:7100")
def reports_of_nobody(at: Bench) -> Made:
    return at.hfzmq("reports")


@away("an alarm is acknowledged, and no daemon runs", 3, "127.0.0.1:7100")
def ack_of_nobody(at: Bench) -> Made:
    return at.hfzmq("alarms", "ack", 1, "--timeout", 1)


@away("a peer is added, and no daemon runs", 3, "127.0.0.1:7100")
def add_to_nobody(at: Bench) -> Made:
    return at.hfzmq("peer", "add", 4, "--timeout", 1)


@away("a backup is asked for, and no daemon runs", 3, "127.0.0.1:7100")
def backup_of_nobody(at: Bench) -> Made:
    return at.hfzmq("backup", "ward.hfzmq")


@away("a peer that peers.yaml does not list is asked", 6, "peers.yaml", "7")
def unlisted(at: Bench) -> Made:
    return at.hfzmq("status", "--peer", 7)


@away("the check, and no daemon runs", 2, "CRITICAL", "127.0.0.1:7100", on_stdout=True)
def check_nobody(at: Bench) -> Made:
    return at.hfzmq("check", "--timeout", 1)


@away("the check with a warning that would come after critical", 3, "--lag-warning", "--lag-critical", on_stdout=True)
def check_limits(at: Bench) -> Made:
    return at.hfzmq("check", "--lag-warning", 6, "--lag-critical", 5)


def one_of_three(at: Bench) -> None:
    """One daemon of a mesh of three that has never begun."""
    at.serve("--id", 1, "--data-dir", "data")


@away("one peer of a new mesh is started, and the others not", 4, "peers 2 and 3")
def not_begun(at: Bench) -> Made:
    one_of_three(at)
    return at.hfzmq("status")


@away("a mesh that has not begun is to be changed", 4, "peers 2 and 3")
def add_to_unbegun(at: Bench) -> Made:
    one_of_three(at)
    return at.hfzmq("peer", "add", 4, "--timeout", 1)


@away("reports from the leader of a mesh that has none", 4, "leads")
def consistent(at: Bench) -> Made:
    one_of_three(at)
    return at.hfzmq("reports", "--consistent")


@away("a key issued in a mesh that has not begun", 4, "peers 2 and 3")
def issue_without_leader(at: Bench) -> Made:
    one_of_three(at)
    return at.hfzmq("keys", "issue", "bed-9", "--role", "client", "--timeout", 1)


@away("the check of a mesh that has not begun", 2, "CRITICAL", "peers 2 and 3", on_stdout=True)
def check_unbegun(at: Bench) -> Made:
    one_of_three(at)
    made = at.hfzmq("check", "--timeout", 2)
    return made._replace(said=made.said._replace(out=made.said.out.partition(" | ")[0] + "\n"))


# ------------------------------------------------------------ keys


@mistake("a client's key for an admin's act", 7, "keys/ward.secret", "admin")
def not_allowed(at: Bench) -> Made:
    return at.hfzmq("alarms", "ack", 1, "--key", "keys/ward.secret", "--timeout", 5)


@mistake("a client's key to add a peer", 7, "keys/ward.secret", "admin")
def not_allowed_to_add(at: Bench) -> Made:
    return at.hfzmq("peer", "add", 4, "--key", "keys/ward.secret", "--timeout", 5)


@mistake("a client's key for a backup", 7, "keys/ward.secret", "admin")
def not_allowed_to_back_up(at: Bench) -> Made:
    return at.hfzmq("backup", "ward.hfzmq", "--key", "keys/ward.secret")


@mistake("a client's key to issue another", 7, "keys/ward.secret", "admin")
def not_allowed_to_issue(at: Bench) -> Made:
    made = at.hfzmq("keys", "issue", "bed-9", "--role", "client", "--key", "keys/ward.secret", "--timeout", 5)
    assert not (at.folder / "keys" / "bed-9.secret").exists(), "a secret key is left that nobody lists"
    return made


@mistake("a key that was revoked", 7, "keys/old.secret", "does not accept")
def revoked(at: Bench) -> Made:
    return at.hfzmq("status", "--key", "keys/old.secret")


@mistake("a key of another mesh", 7, "other/keys/admin.secret", "does not accept")
def foreign_key(at: Bench) -> Made:
    (at.folder / "other").mkdir(exist_ok=True)
    found_ward(at.folder / "other")
    return at.hfzmq("status", "--key", "other/keys/admin.secret")


@mistake("a peers.yaml with two ports of a peer exchanged", 7, "peer 1 does not accept", "keys/admin.secret")
def exchanged_ports(at: Bench) -> Made:
    here = at.config.peer(1)
    was = f"client_port: {here.client_port}, peer_port: {here.peer_port}"
    text = at.file.read_text()
    assert was in text
    text = text.replace(was, f"client_port: {here.peer_port}, peer_port: {here.client_port}")
    at.write("exchanged.yaml", text)
    return at.hfzmq("status", "--config", "exchanged.yaml", "--peer", 1)


@mistake("the peers.yaml of another mesh", 7, "old.yaml")
def foreign_file(at: Bench) -> Made:
    (at.folder / "older").mkdir(exist_ok=True)
    found_ward(at.folder / "older")
    (at.folder / "old.yaml").write_text((at.folder / "older" / "peers.yaml").read_text())
    return at.hfzmq("status", "--config", "old.yaml")


@mistake("a plain peers.yaml for a mesh with keys", 7, "plain.yaml", "wants a key")
def plain_file(at: Bench) -> Made:
    at.write("plain.yaml", at.file.read_text().partition("\nkeys:")[0] + "\nsecurity: plain\n")
    return at.hfzmq("status", "--config", "plain.yaml")


@mistake("a mesh id that was mistyped", 3, "another mesh")
def foreign_id(at: Bench) -> Made:
    at.write("typo.yaml", at.file.read_text().replace(at.config.mesh_id.hex(), "ab" * 16))
    return at.hfzmq("status", "--config", "typo.yaml")


@mistake("the check with a key that was revoked", 3, "UNKNOWN", "keys/old.secret", on_stdout=True)
def check_revoked(at: Bench) -> Made:
    return at.hfzmq("check", "--key", "keys/old.secret")


# ------------------------------------------------------------ members


@mistake("a peer added that was not started", 5, "peer 4")
def add_unheard(at: Bench) -> Made:
    return at.hfzmq("peer", "add", 4, "--timeout", 1)


@mistake("a peer removed that is no member", 5, "peer 9")
def remove_stranger(at: Bench) -> Made:
    return at.hfzmq("peer", "remove", 9)


@mistake("a peer removed of three, without a yes", 1, "without peer 3, 2 voters")
def remove_unasked(at: Bench) -> Made:
    return at.hfzmq("peer", "remove", 3)


@mistake("a peer's one key revoked, without a yes", 1, "the one key of peer 3")
def revoke_unasked(at: Bench) -> Made:
    return at.hfzmq("keys", "revoke", "peer-3")


@mistake("the lead given to a peer that is no member", 5, "peer 9")
def transfer_stranger(at: Bench) -> Made:
    return at.hfzmq("peer", "transfer", 9)


@mistake("an id that is none", 2, "'two'", "no whole number")
def no_id(at: Bench) -> Made:
    return at.hfzmq("peer", "transfer", "two")


@mistake("restored into a mesh that runs", 6, "mesh.id")
def restore_into_life(at: Bench) -> Made:
    shutil.rmtree(at.folder / "drill", ignore_errors=True)
    copy_ward(at.folder, at.folder / "drill")
    backed_up(Bench(at.folder / "drill"))
    return at.hfzmq("restore", "drill/ward.hfzmq", "--id", 2, "--data-dir", "restored")


# ------------------------------------------------------------ what is not there


@mistake("an alarm acknowledged that there is not", 5, "alarm 4711")
def ack_unknown(at: Bench) -> Made:
    return at.hfzmq("alarms", "ack", 4711)


@mistake("a bed discharged that nobody knows", 5, "bed P-999")
def discharge_unknown(at: Bench) -> Made:
    return at.hfzmq("alarms", "discharge", "P-999")


@mistake("the history of an alarm that there is not", 5, "alarm 4711")
def history(at: Bench) -> Made:
    return at.hfzmq("alarms", "ls", "--history", 4711)


@mistake("nobody's name under an acknowledgement", 6, "by", "got ' '")
def by_nobody(at: Bench) -> Made:
    return at.hfzmq("alarms", "ack", 1, "--by", " ")


@mistake("neither an alarm nor a patient", 2, "--patient")
def ack_nothing(at: Bench) -> Made:
    return at.hfzmq("alarms", "ack")


@mistake("a rule simulated that there is not", 6, "silence_ms")
def simulate(at: Bench) -> Made:
    return at.hfzmq("alarms", "simulate", "--set", "silence_ms=5")


@mistake("a tier that there is not", 2, "--tier", "orange")
def tier(at: Bench) -> Made:
    return at.hfzmq("reports", "--tier", "orange")


@mistake("this machine's clock is 90 s ahead", 1, "clock", "90", on_stdout=True)
def clock(at: Bench) -> Made:
    right = time.time

    def ahead() -> float:
        return right() + AHEAD_S

    with mock.patch("hfzmq.cli.doctor.mesh.time.time", ahead):
        made = at.hfzmq("doctor", "--config", "peers.yaml")
    return finding(made, "clock")
