"""The units under a real systemd: what docs/operations/units.md has an operator type, and what it promises then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.system.booted import PROGRAM, Booted, CannotBoot
from tests.system.mesh import wait_for

# As docs/operations/units.md says it, three peers on one machine.
INSTALL = f"""
hfzmq config init --peers 3 > peers.yaml
hfzmq keys init
hfzmq units install --exec {PROGRAM}
install -D -m 0644 peers.yaml /etc/hfzmq/peers.yaml
install -d -m 0700 /etc/hfzmq/keys
for id in 1 2 3; do install -m 0600 keys/peer-$id.secret /etc/hfzmq/keys/peer-$id.secret; done
systemctl daemon-reload
systemctl enable --now hfzmq.target hfzmq@1 hfzmq@2 hfzmq@3
"""
# As systemctl edit would leave it: a watchdog that a test can wait for.
DROP_IN = "/etc/systemd/system/hfzmq@3.service.d"
IMPATIENT = f"mkdir -p {DROP_IN}; printf '[Service]\\nWatchdogSec=4s\\n' > {DROP_IN}/override.conf"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    try:
        booted = Booted(tmp_path_factory.mktemp("machine"))
        booted.__enter__()
    except CannotBoot as error:
        pytest.skip(f"no systemd of its own: {error}")
    with booted:
        booted.shell(INSTALL)
        wait_for("a leader", lambda: leader(booted), 60)
        yield booted


def told(machine: Booted, number: int, what: str) -> str:
    """A property of a peer's unit."""
    return machine.run("systemctl", "show", "-p", what, "--value", f"hfzmq@{number}").strip()


def leader(machine: Booted) -> int:
    """Whom the mesh follows once all three peers answer and are level; 0 before."""
    text = machine.run("hfzmq", "status", "-o", "json", ok=False)
    mesh = json.loads(text) if text else {"peers": []}
    level = {(peer["term"], peer["commit_index"], peer["state_hash"]) for peer in mesh["peers"] if peer["reachable"]}
    return int(mesh["leader"] or 0) if len(level) == 1 and all(peer["reachable"] for peer in mesh["peers"]) else 0


def hears_all(machine: Booted, number: int) -> bool:
    return "hears 2 of 2 other peers" in told(machine, number, "StatusText")


def alive_again(machine: Booted, number: int, before: str) -> bool:
    return told(machine, number, "ActiveState") == "active" and told(machine, number, "MainPID") not in (before, "0")


def test_units_installed_by_the_documents_words_run_a_mesh_under_users_that_are_not_root(machine: Booted) -> None:
    for number in (1, 2, 3):
        assert told(machine, number, "ActiveState") == "active"
        wait_for("its status line", partial(hears_all, machine, number))
        process = told(machine, number, "MainPID")
        owners = machine.run(
            "stat", "-c", "%u", f"/proc/{process}", f"/var/lib/hfzmq/{number}/hfzmq_{number}.db"
        ).split()
        assert "0" not in owners
    assert "mesh ward: peer" in machine.run("hfzmq", "check")


def test_a_reload_rereads_and_a_stop_hands_the_lead_over_and_loses_nothing(machine: Booted) -> None:
    first = wait_for("a leader", lambda: leader(machine))
    machine.run("systemctl", "reload", f"hfzmq@{first}")
    wait_for("reread", lambda: "configuration reread" in machine.run("journalctl", "-u", f"hfzmq@{first}", "-o", "cat"))
    machine.run("hfzmq", "client", "--patient", "P-1", "--headless", "--duration", "3")
    machine.run("systemctl", "stop", f"hfzmq@{first}")
    assert told(machine, first, "Result") == "success"
    machine.run("systemctl", "start", f"hfzmq@{first}")
    wait_for("all follow one again", lambda: leader(machine), 30)
    reports = json.loads(machine.run("hfzmq", "status", "-o", "json"))["peers"]
    assert len({peer["reports"] for peer in reports}) == 1


def test_a_peer_that_is_killed_or_hangs_is_started_again(machine: Booted) -> None:
    before = told(machine, 2, "MainPID")
    machine.run("kill", "-KILL", before)
    wait_for("started after a kill", lambda: alive_again(machine, 2, before), 30)
    machine.shell(f"{IMPATIENT}; systemctl daemon-reload; systemctl restart hfzmq@3")
    before = told(machine, 3, "MainPID")
    machine.run("kill", "-STOP", before)
    wait_for("started after it hung", lambda: alive_again(machine, 3, before), 60)
    assert "watchdog" in machine.run("journalctl", "-u", "hfzmq@3").lower()
    wait_for("all follow one again", lambda: leader(machine), 30)


def test_a_wrong_key_ends_a_peer_for_good_with_cause_and_next_step_in_the_journal(machine: Booted) -> None:
    machine.shell("install -m 0600 keys/peer-1.secret /etc/hfzmq/keys/peer-2.secret")
    machine.run("systemctl", "restart", "hfzmq@2", ok=False)
    wait_for("it has ended", lambda: told(machine, 2, "ActiveState") == "failed", 30)
    assert told(machine, 2, "ExecMainStatus") == "7"
    journal = machine.run("journalctl", "-u", "hfzmq@2", "-o", "cat", "-n", "20")
    assert "error: " in journal
    assert "hint: " in journal
    machine.shell("install -m 0600 keys/peer-2.secret /etc/hfzmq/keys/peer-2.secret; systemctl restart hfzmq@2")
    wait_for("all follow one again", lambda: leader(machine), 30)


# As docs/operations/backup.md says it, for all three peers on one machine: root backs up, wipes and restores.
RESTORE = """
systemctl stop hfzmq@1 hfzmq@2 hfzmq@3
hfzmq backup --db /var/lib/hfzmq/1/hfzmq_1.db --to ward.hfzmq
for id in 1 2 3; do mv /var/lib/private/hfzmq/$id /root/old-$id; rm -f /var/lib/hfzmq/$id; done
mkdir restored
hfzmq config init --peers 3 > restored/new.yaml
hfzmq keys init --config restored/new.yaml
install -m 0644 restored/new.yaml /etc/hfzmq/peers.yaml
for id in 1 2 3; do install -m 0600 restored/keys/peer-$id.secret /etc/hfzmq/keys/peer-$id.secret; done
for id in 1 2 3; do
  hfzmq restore ward.hfzmq --config /etc/hfzmq/peers.yaml --id $id --data-dir /var/lib/hfzmq/$id
done
cp restored/new.yaml peers.yaml
cp restored/keys/* keys/
systemctl start hfzmq@1 hfzmq@2 hfzmq@3
"""


def test_what_root_has_restored_is_taken_over_by_the_users_of_the_units(machine: Booted) -> None:
    machine.shell(RESTORE)
    wait_for("a leader of the restored mesh", lambda: leader(machine), 90)
    for number in (1, 2, 3):
        assert told(machine, number, "ActiveState") == "active"
        assert machine.run("stat", "-L", "-c", "%u", f"/var/lib/hfzmq/{number}/hfzmq_{number}.db").strip() != "0"
