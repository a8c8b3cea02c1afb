"""``hfzmq keys show`` and ``keys update`` beside a mesh that knows more than the file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hfzmq.client.key_faults import key_fault
from hfzmq.client.line import AUTH
from hfzmq.config import Config
from hfzmq.secret_files import make_pair, read_secret, write_secret
from tests.integration.test_newer_keys import World, agreeing, patient

__all__ = ["agreeing", "patient"]  # for all tests here, too


@pytest.fixture
def world(agreeing: World) -> World:
    """By the name that all tests here use."""
    return agreeing


def test_a_key_that_the_mesh_told_is_in_force_and_a_former_one_that_nobody_lists_is_not_without_words(
    world: World,
) -> None:
    done = world.run("keys", "show")
    rows = [line.split() for line in done.out.splitlines()]
    assert ["peer-2", "peer", "yes", "file"] in [row[:4] for row in rows]
    former = next(line for line in done.out.splitlines() if "REVOKED" in line)
    assert former.split("  ")[0] == "(no longer listed)"
    assert "not known" in former
    assert "mesh" in former
    assert "a peer's former key" in done.err


def test_a_key_that_the_mesh_refuses_is_said_to_be_refused_and_another_is_to_be_asked_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(config: Config, *about: object, refusing: dict[int, str], **more: Any) -> None:
        refusing[1] = AUTH
        raise key_fault(config, refusing)

    monkeypatch.setattr("hfzmq.client.ask.ask_all", refused)
    write_secret(world.file.parent / "keys" / "admin-2.secret", "admin-2", "admin")
    done = world.run("keys", "show", "-o", "json")
    found = {row["name"]: row["in_force"] for row in json.loads(done.out)}
    assert found["admin"] == "refused by the mesh"
    assert found["peer-1"] == "by the file"
    assert "for the mesh told nothing: peer 1 does not accept" in done.err
    assert "hfzmq keys show --key FILE; here lie admin-2.secret" in done.err
    secret = world.file.parent / "keys" / "admin.secret"
    assert f"mv {secret} {secret}.old" in done.err


def test_who_revokes_the_key_that_it_asks_with_is_told_to_put_it_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfzmq.cli.access.mesh.APPLIED_WITHIN_S", 0.0)
    secret = world.file.parent / "keys" / "admin.secret"
    done = world.run("keys", "revoke", read_secret(secret).public)
    assert done.code == 0, done
    assert f"mv {secret} {secret}.old" in done.err


def test_keys_update_brings_no_peer_back_into_the_file_that_was_taken_out(world: World) -> None:
    world.write({**world.served, 2: world.old})
    world.served[4] = make_pair().public  # of one that was removed, and not revoked
    done = world.run("keys", "update")
    assert (done.code, "peer 2" in done.out, "peer 4" in done.out) == (0, True, False), done
    assert 4 not in world.listed()


def test_what_nobody_lists_is_left_where_it_is_as_long_as_nobody_leads(world: World) -> None:
    stray = write_secret(world.file.parent / "keys" / "bed-9.secret", "bed-9", "client")
    assert stray
    told = world.run("doctor").out
    assert "bed-9.secret: nobody lists this key" in told
    world.stop(2)  # who led
    told = world.run("doctor").out
    assert "bed-9.secret: not known whether this key is in force (nobody leads" in told
    assert "bed-9.secret.old" not in told
