"""A peer gets other ports while reports flow, as docs/operations.md says; and afterwards every command finds it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hfzmq import Client
from hfzmq import config as configuration
from hfzmq.cli.processes import free_addresses
from hfzmq.client.ledger import Event
from hfzmq.clinical.report import Report
from hfzmq.config import PeerAddress, Timing
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.rolling import Writer, restart
from tests.system.test_members import member

ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")
TIMING = Timing(lease_ms=1000, handover_settle_ms=3000)


def elsewhere(mesh: Mesh, number: int) -> PeerAddress:
    """Ports that nobody has, for a peer of the mesh."""
    return PeerAddress(number, *free_addresses(1)[0][1:])


def bring(mesh: Mesh, moved: PeerAddress) -> None:
    """The file with another address, to all machines."""
    peers = tuple(moved if peer.id == moved.id else peer for peer in mesh.config.peers)
    mesh.config = mesh.config._replace(peers=peers)
    for path in (mesh.path, *(mesh.folder / f"peers_{number}.yaml" for number in mesh.config.peer_ids)):
        path.write_text(configuration.render(mesh.config))


def spread(mesh: Mesh) -> int:
    """How many entries lie between the ends of the peers' logs."""
    ends = [peer["last_index"] for peer in mesh.status().values()]
    return max(ends) - min(ends) if len(ends) == len(mesh.config.peers) else 1 << 60


def asked(path: Path, *words: object, within_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        hfzmq(*words, "--config", path), cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False
    )


def assert_found_by_all_commands(mesh: Mesh, path: Path, number: int) -> None:
    """``path``: the file that the commands go by."""
    moved = mesh.config.peer(number)
    where = f"{moved.host}:{moved.client_port}"
    for words in (("status",), ("peer", "ls")):
        told = asked(path, *words)
        assert (told.returncode, where in told.stdout) == (0, True), told.stdout + told.stderr
    told = asked(path, "check")
    assert "does not tell its alarms" not in told.stdout, told.stdout
    name = f"{path.stem}-{number}"
    done = asked(path, "backup", "--peer", number, mesh.folder / f"{name}.hfzmq")
    assert (done.returncode, f"backed up from peer {number}" in done.stdout) == (0, True), done.stderr
    done = asked(path, "peer", "transfer", number, "--timeout", 15)
    assert (done.returncode, f"peer {number} leads" in done.stdout) == (0, True), done.stderr
    done = asked(path, "keys", "issue", name, "--role", "client")
    assert done.returncode == 0, done.stderr
    done = asked(path, "keys", "revoke", name)
    assert (done.returncode, done.stdout.count(": applied")) == (0, 3), done.stdout + done.stderr


def said_by_a_client(mesh: Mesh, report: Report) -> list[str]:
    """The kinds of events of a client with a queue of before, from its start until the mesh has its report."""
    said: list[Event] = []
    with Client(mesh.config, "bed", mesh.folder / "bed", said.append) as client:
        client.submit(report)
        client.wait(20)
    return [str(event["event"]) for event in said]


def knows(mesh: Mesh, number: int) -> bool:
    """Whether a client with that queue has come to know where the peer is now."""
    with Client(mesh.config, "bed", mesh.folder / "bed") as client:
        wait_for("members", client.queue.members)
        known = client.queue.members()
        member = known.of(number) if known else None
        return member is not None and member.client_port == mesh.config.peer(number).client_port


@pytest.mark.parametrize(("moves", "order"), [(2, (3, 2, 1)), (1, (3, 1, 2))])
def test_a_first_peer_gets_other_ports_while_reports_flow_and_every_command_finds_it(
    tmp_path: Path, moves: int, order: tuple[int, ...]
) -> None:
    with Mesh(tmp_path, timing=TIMING) as mesh:
        mesh.wait_for_leader(1)
        writer = Writer(mesh)
        writer.start()
        writer.go_on(50)
        old = tmp_path / "old.yaml"
        old.write_text(mesh.path.read_text())
        bring(mesh, elsewhere(mesh, moves))
        for number in order:  # one that stays, the one that moves, the rest: reports flow while each of them is down
            restart(mesh, writer, number)
        wait_for("the moved one is level", lambda: spread(mesh) < 200)  # the writer goes on
        assert_found_by_all_commands(mesh, mesh.path, moves)
        assert_found_by_all_commands(mesh, old, moves)
        writer.go_on(50)
        writer.end()
        assert writer.errors == []
        writer.assert_stored(mesh.assert_equal_rows())


def test_a_peer_that_alone_has_the_new_file_is_found_and_a_client_of_before_learns_where_it_is(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING) as mesh:
        mesh.wait_for_leader(1)
        assert "ack" in said_by_a_client(mesh, ROW)
        bring(mesh, elsewhere(mesh, 2))
        assert mesh.terminate(2) == 0
        mesh.start(2)
        wait_for("peer 2 is back", lambda: len(mesh.status()) == 3)
        where = f"127.0.0.1:{mesh.config.peer(2).client_port}"
        assert where in asked(mesh.path, "status").stdout, "the other two tell where it was"
        assert where in asked(mesh.path, "peer", "ls").stdout
        told = asked(mesh.path, "doctor").stdout
        assert "peer 2's peers.yaml differs" in told
        assert "is that the newer file? then bring it to all machines, and restart peers 1 and 3" in told
        for number in (3, 1):
            assert mesh.terminate(number) == 0
            mesh.start(number)
            wait_for("all are back", lambda: len(mesh.status()) == 3 and mesh.leader())
        mesh.wait_until_equal()
        assert "ack" in said_by_a_client(mesh, ROW._replace(day=2))
        wait_for("the client knows it", lambda: knows(mesh, 2))
        mesh.peer("transfer", 2)
        said = said_by_a_client(mesh, ROW._replace(day=3))
        assert ("ack" in said, "disconnected" in said) == (True, False), said


def test_a_peer_that_came_back_empty_is_moved_by_starting_it_empty_and_says_so_where_it_is_not(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING) as mesh:
        for words in ("it is another disk from here on", "and is moved"):
            before = member(mesh, 3)[0]
            assert mesh.terminate(3) == 0
            if words == "and is moved":
                bring(mesh, elsewhere(mesh, 3))
                mesh.start(3)  # with its data: nobody looks for it there
                wait_for("its warning", lambda: "put that back; or stop it, move" in mesh.log(3))
                assert mesh.terminate(3) == 0
            mesh.wipe(3)
            mesh.start(3)
            wait_for(f"a new disk for peer 3: {words}", lambda: member(mesh, 3)[0] not in ("", before), 60)  # noqa: B023
            wait_for("peer 3 votes", lambda: member(mesh, 3)[1] == "voter", 60)
        mesh.wait_until_equal()
        assert_found_by_all_commands(mesh, mesh.path, 3)
