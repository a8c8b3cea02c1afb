"""Every attack for a moment, on a real mesh with honest writers: nobody but the attacker notices.

``python -m tests.fuzz`` does the same for minutes, and each attack by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.field import Field
from tests.fuzz.gauge import Gauge
from tests.fuzz.honest import Writer
from tests.fuzz.striker import ATTACKS
from tests.fuzz.trial import Trial
from tests.system.mesh import wait_for

SEED = 20_26
SECONDS = 0.7  # for each attack
LEASE_MS = 3000  # other tests may be at work beside this one
HEAVY = "endless_parts"  # has a test of its own in test_limits.py
CLIENTS = tuple(name for name, one in ATTACKS.items() if one.says.startswith("a client's key") and name != HEAVY)
OUTSIDERS = tuple(name for name, one in ATTACKS.items() if one.says.startswith("a peer's key"))
KEYLESS = tuple(name for name in ATTACKS if name not in (*CLIENTS, *OUTSIDERS, HEAVY))


class World:
    """A mesh under the eyes of two honest writers and a gauge."""

    def __init__(self, field: Field, gauge: Gauge) -> None:
        self.field = field
        self.writers = [Writer(field.honest_config, f"honest-{number}") for number in (1, 2)]
        for writer in self.writers:
            writer.start()
        wait_for("acknowledgements", lambda: all(len(writer.acks) > 5 for writer in self.writers), 30)
        self.trial = Trial(field, self.writers, gauge, SEED)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Field(tmp_path_factory.mktemp("fuzz"), LEASE_MS) as field:
        with Gauge({number: process.pid for number, process in field.processes.items()}) as gauge:
            made = World(field, gauge)
            yield made
        for writer in made.writers:
            writer.end()
        rows = field.assert_equal_rows()
        assert [writer.misses(rows) for writer in made.writers] == ["", ""]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("names", "leads"),
    [(KEYLESS, True), (CLIENTS, True), (CLIENTS, False), (OUTSIDERS, True)],
    ids=["no-key-on-the-leader", "clients-on-the-leader", "clients-on-a-follower", "outsiders-on-the-leader"],
)
def test_honest_clients_and_other_peers_notice_nothing(world: World, names: tuple[str, ...], leads: bool) -> None:
    leader = world.field.wait_for_leader()
    peer = leader if leads else max(set(world.field.config.peer_ids) - {leader})
    result = world.trial.run(names, peer, SECONDS, in_turn=True)
    strikes = (world.field.folder / "strikes.log").read_text()
    assert result.wrong == (), (SEED, result, strikes[-2000:])
    assert result.acks > 0
    ended = [line.split()[1] for line in strikes.splitlines() if line.startswith("end ")]
    assert ended[-len(names) :] == list(names), "an attack did not take place"


def test_every_attack_is_in_a_group_and_every_port_is_attacked() -> None:
    assert sorted((*KEYLESS, *CLIENTS, *OUTSIDERS, HEAVY)) == sorted(ATTACKS)
    assert len(CLIENTS) > 5
    assert len(OUTSIDERS) > 3
    assert any(one.needs_http for one in ATTACKS.values())
