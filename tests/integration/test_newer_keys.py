"""A peer's key was changed through the mesh, and peers.yaml still lists the old one: commands find it all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hfzmq import config as configuration
from hfzmq.access import PEER, AccessList, Listed
from hfzmq.client import ask
from hfzmq.client.ask import ask_all
from hfzmq.config import Config, PeerAddress, render
from hfzmq.errors import KeysError
from hfzmq.key_section import Keys, OwnKey
from hfzmq.secret_files import make_pair, write_secret
from hfzmq.wire.access import told_access
from hfzmq.wire.members import told_keys
from hfzmq.wire.requests import Access, ListKeys, Members, Status, decode_request, encode_reply
from tests.integration.fake_peer import MESH, FakePeer
from tests.unit.cli_world import Ran, run, says

INSIDE_MS = 3000
BUSY_MS = 10_000


class World:
    """Three peers of which the second serves with a new key, known to the others; the file lists the old one."""

    def __init__(self, folder: Path) -> None:
        self.own = {peer: make_pair() for peer in (1, 2, 3)}
        self.old = make_pair().public
        self.served = {peer: own.public for peer, own in self.own.items()}  # as the mesh says
        self.says: dict[int, dict[int, str]] = {}  # and as one peer alone says
        self.revoked = [self.old]
        self.members = [1, 2, 3]
        self.empty: set[int] = set()  # who holds nothing, and knows of no mesh that has begun
        self.peers = {peer: FakePeer(self._answering(peer), own=own) for peer, own in self.own.items()}
        where = tuple(PeerAddress(n, "127.0.0.1", fake.port, 2 * n, 2 * n + 1) for n, fake in self.peers.items())
        admin = write_secret(folder / "keys" / "admin.secret", "admin", "admin")
        listed = tuple(sorted({**self.served, 2: self.old}.items()))
        self.config = Config("fake", MESH, where, keys=Keys(listed, (("admin", admin.public),), own=admin))
        self.file = folder / "peers.yaml"
        self.file.write_text(render(self.config))

    def listed(self) -> dict[int, str]:
        """What the file lists."""
        keys = configuration.load(str(self.file)).keys
        assert keys is not None
        return dict(keys.peers)

    def write(self, listed: dict[int, str]) -> None:
        """Have the file list these keys."""
        keys = self.config.keys
        assert keys is not None
        self.config = self.config._replace(keys=keys._replace(peers=tuple(sorted(listed.items()))))
        self.file.write_text(render(self.config))

    def run(self, *words: str) -> Ran:
        """A command that asks this mesh."""
        patience = ("--timeout", "30") if words[0] == "check" else ()
        return run(*words, *patience, "--config", str(self.file))

    def stop(self, *peers: int) -> None:
        for peer in peers:
            self.peers[peer].die()

    def _answering(self, peer: int):  # type: ignore[no-untyped-def]
        def answer(frame: bytes) -> bytes:
            rows = [[n, "127.0.0.1", 1000 + n, 1, 1, "aa" * 16, "voter"] for n in self.members]
            told = {"members": rows, "asking": [], "founded": True, **told_keys(self.says.get(peer, self.served))}
            request = decode_request(frame, MESH, self.config.limits)
            if isinstance(request, Status):
                places = [[n, "127.0.0.1", self.peers[n].port, 1, 1, "aa" * 16, "voter"] for n in self.members]
                more = told | {"members": places, "members_index": 7, "applied_index": 810 - (peer in self.says)}
                if peer in self.empty:
                    unbegun = [[*row[:5], "", "voter"] for row in places]
                    more |= {"founded": False, "members_index": 0, "members": unbegun, "last_index": 0}
                return encode_reply("OK", peer=says(peer, "leader" if peer == 2 else "follower", **more)["peer"])
            if isinstance(request, Members):
                return encode_reply("OK", index=7, **told)
            if isinstance(request, ListKeys):
                mesh = [Listed(key, PEER, f"peer-{n}", n) for n, key in self.served.items()]
                return encode_reply("OK", **told_access(AccessList(mesh, self.revoked), 9))
            if self.empty:
                return encode_reply("NO_QUORUM")
            return encode_reply("ACK" if isinstance(request, Access) else "OK", peer=peer, index=11)

        return answer


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a peer that answers may take long; one that is stopped refuses at once."""
    monkeypatch.setattr(ask.ask_all, "__defaults__", (None, BUSY_MS, None, None, None))
    for name in ("cli.doctor.mesh.TIMEOUT_MS", "cli.doctor.keys.TIMEOUT_MS", "cli.access.mesh.ASK_MS"):
        monkeypatch.setattr(f"hfzmq.{name}", BUSY_MS)
    monkeypatch.setattr("hfzmq.client.backup_take.STATUS_MS", BUSY_MS)
    monkeypatch.setattr("hfzmq.client.backup_take.PATIENCE_S", 1.0)  # a fake gives no backup


@pytest.fixture
def agreeing(tmp_path: Path) -> Iterator[World]:
    """Three peers; the file lists for each the key that it serves with."""
    made = World(tmp_path)
    made.write(made.served)
    yield made
    made.stop(1, 2, 3)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """See World."""
    made = World(tmp_path)
    yield made
    made.stop(1, 2, 3)


def test_one_peer_alone_is_asked_with_the_key_that_the_others_say_it_serves_with(world: World) -> None:
    answers = ask_all(world.config, "status", timeout_ms=INSIDE_MS, only=2)
    assert answers[2] is not None
    assert answers[2]["peer"]["id"] == 2


def test_a_question_to_all_reaches_it_too_and_nobody_is_said_to_refuse(world: World) -> None:
    refusing: dict[int, str] = {}
    answers = ask_all(world.config, "alarms", {"before_id": 0, "limit": 1}, INSIDE_MS, refusing=refusing)
    assert [peer for peer, answer in answers.items() if answer] == [1, 2, 3]
    assert refusing == {}


def test_where_nobody_else_answers_the_file_alone_can_help_and_the_error_names_both_commands(world: World) -> None:
    world.stop(1, 3)
    with pytest.raises(KeysError, match="peer 2 does not serve with the key") as told:
        ask_all(world.config, "status", timeout_ms=INSIDE_MS, only=2)
    assert "hfzmq keys update" in told.value.hint
    assert "hfzmq keys issue peer-2 --role peer --id 2 --offline" in told.value.hint


def test_keys_update_brings_the_new_key_into_the_file_and_the_second_time_has_nothing_to_do(world: World) -> None:
    done = run("keys", "update", "--config", str(world.file))
    assert done.code == 0, done
    assert "peer 2" in done.out
    assert world.listed() == world.served
    again = run("keys", "update", "--config", str(world.file))
    assert (again.code, "lists the keys that the peers serve with" in again.out) == (0, True)
    world.stop(1, 3)
    assert run("status", "--config", str(world.file), "--peer", "2").code == 0


def test_keys_update_says_whose_key_nobody_knows_and_what_to_do_on_that_machine(world: World) -> None:
    world.served[2] = world.old  # the others know no newer one
    done = run("keys", "update", "--config", str(world.file))
    assert (done.code, done.out) == (7, "")
    assert "peer 2 serves with a key that nobody who answers knows" in done.err
    assert "hfzmq keys issue peer-2 --role peer --id 2 --offline" in done.err
    for command in ("status", "peer ls"):
        told = run(*command.split(), "--config", str(world.file))
        assert "runs, with another key than peers.yaml lists" in told.out, told
        assert "start" not in told.err.replace("restart", "")
    doctor = run("doctor", "--config", str(world.file)).out
    assert "peer 2 does not serve with the key" in doctor
    assert "systemctl status hfzmq@2" not in doctor


def test_check_and_doctor_say_that_the_file_lists_an_older_key(world: World) -> None:
    done = world.run("check")
    assert done.code == 1, done
    assert "peers.yaml lists an older key for peer 2: hfzmq keys update" in done.out
    assert "lists an older key for peer 2" in run("doctor", "--config", str(world.file)).out


def test_the_machine_of_a_peer_can_write_the_key_of_its_own_secret_without_the_mesh(world: World) -> None:
    secret = world.file.parent / "keys" / "peer-2.secret"
    made: OwnKey = write_secret(secret, "peer-2", "peer")
    done = run("keys", "issue", "peer-2", "--role", "peer", "--id", "2", "--offline", "--config", str(world.file))
    assert done.code == 0, done
    assert world.listed()[2] == made.public
