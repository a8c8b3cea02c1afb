"""Somebody who has a member's secret key and sits at its address: what it publishes in the place of heartbeats."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import zmq

from hfzmq.core.messages import Heartbeat
from hfzmq.secret_files import read_secret
from hfzmq.wire import peers
from tests.fuzz import letters
from tests.fuzz.field import Field
from tests.fuzz.gauge import Gauge, sample
from tests.fuzz.honest import Writer
from tests.fuzz.trial import Trial
from tests.system.mesh import wait_for

SEED = 3
BURST = 500
HEARD_AT_LEAST = 500
HEARD = ("peer_message_malformed", "peer_message_of_no_member", "peer_message_not_for_me")


def published(chance: Random, mesh_id: bytes, small: list[bytes]) -> bytes:
    """Nonsense, heartbeats of another life of peer 3 with something wrong, what is larger than a heartbeat may be."""
    what = chance.random()
    if what < 0.6:
        beat = Heartbeat(9, peers.ROLES[-1], 3, 5, 5, 5, 5, 1, 1, (1, 2), True, bytes(16))
        return letters.mutated_letter(chance, peers.Sender(mesh_id, 3, letters.EPOCH, 1 << 17, 0), beat)
    if what < 0.999:
        return chance.choice((letters.any_message(chance), *small))
    return os.urandom(5000)


def test_what_is_published_under_a_member_s_key_in_place_of_heartbeats_moves_nobody(tmp_path: Path) -> None:
    chance, small = Random(SEED), [bomb for bomb in letters.bombs() if len(bomb) < 4096]
    with Field(tmp_path, lease_ms=3000) as field, zmq.Context() as context:
        field.kill(3)
        del field.processes[3]
        writer = Writer(field.honest_config, "honest")
        writer.start()
        wait_for("acknowledgements", lambda: len(writer.acks) > 5, 30)
        term, before = field.status()[1]["term"], sample(field.processes[1].pid)
        here = field.config.peer(3)
        impostor = context.socket(zmq.PUB)
        impostor.setsockopt(zmq.LINGER, 0)
        own = read_secret(tmp_path / "keys" / "peer-3.secret")
        impostor.curve_server = 1
        impostor.curve_publickey, impostor.curve_secretkey = own.public.encode(), own.secret.encode()
        with Gauge({}) as gauge:
            trial = Trial(field, [writer], gauge, SEED)
            wait_for("its port is free", lambda: _bound(impostor, f"tcp://{here.host}:{here.beat_port}"))

            counted: dict[str, int] = {}

            def heard() -> bool:
                for _ in range(BURST):
                    impostor.send(published(chance, field.config.mesh_id, small))
                counters = field.status().get(1, {}).get("counters", {})
                counted.update({name: counters.get(name, 0) for name in HEARD})
                return sum(counted.values()) >= wanted

            wanted = 1
            wait_for("it is heard", heard, 60)
            acked, wanted = len(writer.acks), HEARD_AT_LEAST
            wait_for(f"{wanted} of its words are heard", heard, 120)
            wait_for("acknowledgements meanwhile", lambda: len(writer.acks) > acked + 5, 30)
            assert trial.wrong_lines() == [], SEED
        told, after = field.status()[1], sample(field.processes[1].pid)
        assert (told["term"], told["role"]) == (term, "leader"), SEED
        assert before is not None
        assert after is not None
        assert after.rss_mib < before.rss_mib + 64
        writer.end()
        assert writer.wrong == ""
        assert writer.misses(field.assert_equal_rows(1, 2)) == ""


def _bound(socket: zmq.Socket[bytes], where: str) -> bool:
    try:
        socket.bind(where)
    except zmq.ZMQError:
        return False
    return True
