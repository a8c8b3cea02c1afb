"""A peer serves with another key than peers.yaml, or the mesh, has for it: what is said names the newer one where that
is proven, and nothing that is bidden undoes an issue."""

from __future__ import annotations

import pytest

from hfzmq.client.ask import ask_all, ask_leader
from hfzmq.secret_files import make_pair
from hfzmq.wire.members import newest, with_members
from tests.integration.test_newer_keys import INSIDE_MS, World, agreeing, patient

__all__ = ["agreeing", "patient"]  # for all tests here, too


@pytest.fixture
def world(agreeing: World) -> World:
    """By the name that all tests here use."""
    return agreeing


def test_where_all_agree_nothing_is_said_of_keys(world: World) -> None:
    for command in ("check", "doctor", "status"):
        done = world.run(command)
        assert "another" not in done.out + done.err
        assert "older" not in done.out + done.err


def test_a_key_that_no_peer_knows_is_not_called_older_and_update_asks_before_it_undoes_the_issue(world: World) -> None:
    fresh = make_pair().public
    world.write({**world.served, 3: fresh})
    for command in ("check", "doctor"):
        said = world.run(command).out
        assert "lists another key for peer 3" in said
        assert "older key" not in said
        assert "bring its secret to peer 3's machine as keys/peer-3.secret" in said
    done = world.run("keys", "update")
    assert (done.code, "no peer knows" in done.err, "needs a yes" in done.err) == (1, True, True), done
    assert world.listed()[3] == fresh
    assert world.run("keys", "update", "--yes").code == 0
    assert world.listed() == world.served


def test_a_key_that_was_issued_and_not_yet_brought_is_to_be_brought_and_everything_still_reaches_that_peer(
    world: World,
) -> None:
    world.served[3] = make_pair().public  # the mesh expects this one; peer 3 and the file have the one before
    checked = world.run("check")
    assert "peer 3 still serves with the key that" in checked.out
    assert "restart that peer" in checked.out
    doctor = world.run("doctor").out
    assert "peer 3 still serves with the key that" in doctor
    assert "without a key in force" not in doctor
    assert "no answer" not in doctor
    before = world.listed()
    done = world.run("keys", "update")
    assert (done.code, world.listed()) == (7, before)
    assert "peer 3 still serves with an older key" in done.err
    assert "--offline" not in done.err
    taken = world.run("backup", str(world.file.parent / "b"), "--peer", "3")
    assert "does not serve with the key" not in taken.err, "it was reached, and a fake gives no backup"


def test_where_the_one_peer_that_may_hold_data_has_an_unknown_key_that_is_said_first(world: World) -> None:
    world.write({**world.served, 2: world.old})
    world.served[2] = world.old  # and the others, which are empty, know no newer one
    world.empty = {1, 3}
    checked = world.run("check")
    assert checked.out.startswith("CRITICAL - what peer 2 holds is not known"), checked
    assert "a new mesh begins" not in checked.out
    done = world.run("backup", str(world.file.parent / "b"))
    assert done.code == 7, done
    assert "nothing is stored at peers 1, 3, and what peer 2 holds is not known: peer 2 does not serve" in done.err


def test_a_revoked_key_of_a_removed_peer_needs_no_yes_and_nothing_new_is_issued(world: World) -> None:
    world.members = [1, 3]
    gone = world.served[2]
    world.stop(2)
    done = world.run("keys", "revoke", gone)
    assert "needs a yes" not in done.err
    assert "take it out of" in done.err
    assert "keys issue" not in done.err
    asked = world.run("keys", "revoke", world.served[3])
    assert (asked.code, "needs a yes" in asked.err) == (1, True)


def test_the_leader_is_reached_with_its_former_key_where_the_mesh_already_expects_another(world: World) -> None:
    world.served[2] = make_pair().public
    told = newest(ask_all(world.config, "status", timeout_ms=INSIDE_MS).values())
    config = with_members(world.config, told)
    assert config.keys is not None
    assert config.keys.key_of(2) != world.own[2].public
    world.stop(1, 3)
    assert ask_leader(config, "reports", {"limit": 1}, INSIDE_MS)["peer"] == 2


def test_the_same_where_the_file_lists_the_new_one_already(world: World) -> None:
    world.served[3] = make_pair().public
    world.write(world.served)
    world.says[3] = {1: world.served[1], 2: world.served[2], 3: world.own[3].public}
    for command in ("check", "doctor"):
        said = world.run(command).out
        assert "peer 3 does not serve with the key" in said
        assert command == "check" or "is the file's the newer? bring that secret" in said


def test_who_asks_one_peer_alone_believes_it_of_its_own_key_only(world: World) -> None:
    world.says[3] = {**world.served, 2: make_pair().public}
    done = world.run("check", "--peer", "3")
    assert "peer 2" not in done.out


def test_a_survivor_with_another_key_is_named_with_those_that_do_not_answer(world: World) -> None:
    world.write({**world.served, 2: world.old})
    world.stop(1, 3)
    checked = world.run("check")
    assert (checked.code, "CRITICAL - peers 1 and 3 do not answer" in checked.out) == (2, True), checked
    assert "peer 2 does not serve with the key" in checked.out
    for command in ("status", "doctor", "reports", "peer ls"):
        done = world.run(*command.split())
        assert "peers 1, 3 do not answer" in done.out + done.err
    assert "systemctl status hfzmq@3" in world.run("doctor").out


def test_a_member_without_a_key_is_told_as_that_and_not_as_a_broken_link(world: World) -> None:
    gone = world.served.pop(3)
    world.revoked.append(gone)
    for command in ("status", "check", "peer ls", "doctor"):
        done = world.run(*command.split())
        assert "peer 3 has no key in force" in done.out + done.err, command
        assert "firewall" not in done.out + done.err
    done = world.run("keys", "update")
    assert (done.code, "peer 3 has no key in force" in done.err) == (7, True), done


def test_who_goes_by_a_wrong_key_for_another_is_named_also_while_nobody_leads(world: World) -> None:
    world.says[3] = {**world.served, 1: make_pair().public}
    world.stop(2)
    for command in ("status", "check", "peer ls", "doctor"):
        done = world.run(*command.split())
        assert "peer 3 does not know the key that peer 1 serves with" in done.out + done.err, command
    assert "hfzmq keys update, then SIGHUP" in world.run("status").err


def test_of_a_removed_peer_nothing_is_to_be_started_or_issued(world: World) -> None:
    world.members = [1, 3]
    world.revoked.append(world.served.pop(2))
    world.stop(2)
    doctor = world.run("doctor").out
    assert "peer 2 is in" in doctor
    assert "no member of the mesh" in doctor
    assert "hfzmq@2" not in doctor
    assert "keys issue" not in doctor
