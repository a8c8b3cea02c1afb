"""What an adversary found: each test is a short story that must end well, and did not when it was told."""

from __future__ import annotations

from typing import Any

from hfzmq.core.contract import ADD, REMOVE, Change, Effect, Installed, Received, Reply, Send
from hfzmq.core.membership import Member, Membership
from hfzmq.core.messages import JoinRequest, Message, VoteReply
from hfzmq.core.types import HardState, Place
from hfzmq.settings import Limits
from tests.simulation.disk import Disk, address, first_peers
from tests.simulation.peer import Peer
from tests.simulation.test_scenarios import LEASE, Story
from tests.unit.core_bench import Bench, ask, batch, end_of, log_of, member, statuses


class Nobody:
    """Hears the answers of an operator's wish."""

    name = "nobody"

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        self.replies.append(reply)


# ------------------------------------------------------------ 1


def test_a_candidate_that_takes_a_snapshot_in_does_not_count_the_votes_of_who_was_removed() -> None:
    """Six voters, 6 is removed: five, of whom three are a majority. Peer 1 has missed it and campaigns among six, holds
    6's vote, and then installs the snapshot whose members are five: 1, 5 and 6 make it leader with two votes of five,
    while 2, 3 and 4 may elect another in the very same term."""
    bench = Bench(1, (1, 2, 3, 4, 5, 6))
    bench.campaign()
    term = bench.replica.term
    bench.hear(6, VoteReply(term, False, True))
    place = Place(40, term - 1 or 1, b"the chain of it.")
    assert bench.replica.wants(place)
    five = Membership(30, tuple(member(peer) for peer in (1, 2, 3, 4, 5)), ((6, b""),))
    bench.do(Installed(place, five, {}, bytes(16)))
    bench.hear(5, VoteReply(term, False, True))
    assert bench.replica.role != "leader", "elected by 1, 5 and the removed 6: two of five"


def test_a_candidate_that_learns_from_a_snapshot_that_it_is_a_learner_does_not_lead() -> None:
    """The same door: the snapshot says that this peer does not vote; the grant that was under way makes it lead."""
    bench = Bench(1, (1, 2, 3, 4))
    bench.campaign()
    term = bench.replica.term
    bench.hear(2, VoteReply(term, False, True))
    demoted = Membership(30, (member(1, votes=False), *(member(peer) for peer in (2, 3, 4, 5, 6))))
    place = Place(40, 1, b"the chain of it.")
    assert bench.replica.wants(place)
    bench.do(Installed(place, demoted, {}, bytes(16)))
    bench.hear(3, VoteReply(term, False, True))
    assert bench.replica.role != "leader"


# ------------------------------------------------------------ 2


class Tap:
    """Copies every message from one peer's sends, to be played again."""

    def __init__(self, story: Story) -> None:
        self.heard: list[tuple[int, int, Message, bytes, int]] = []
        send = story.network.send

        def tapped(source: Any, target: Any, deliver: Any, *arguments: Any) -> None:
            if len(arguments) == 4 and isinstance(arguments[1], VoteReply):
                self.heard.append((source, target, *arguments[1:]))
            send(source, target, deliver, *arguments)

        story.network.send = tapped  # type: ignore[method-assign]


class Newborn(Story):
    """A story that is tapped from before the mesh is founded."""

    def run_until(self, condition: Any, within_ms: float) -> float:
        if not hasattr(self, "tap"):
            self.tap = Tap(self)
        return super().run_until(condition, within_ms)


def test_votes_for_an_earlier_life_of_a_founder_do_not_found_the_mesh_once_more() -> None:
    """Peer 1 is voted for by all and founds the mesh in term 1; 1 and 2 commit and acknowledge, while 3 has only voted.
    1 loses its disk. Its next life begins in term 0 too, campaigns in term 1, and *late copies* of the grants to its
    former life (VoteReply names only the term; the envelope names only the id) make it lead term 1 a second time: it
    founds the mesh again and, with 3, commits other entries of the same term at the same places."""
    story = Newborn(3, seed=3)
    one, three = story.peers[1], story.peers[3]
    late = [(source, message, came_from, boot) for source, to, message, came_from, boot in story.tap.heard if to == 1]
    late = [row for row in late if row[1].granted]  # type: ignore[union-attr]
    assert {(row[0], row[1].pre) for row in late} == {(2, True), (3, True), (2, False), (3, False)}  # type: ignore[union-attr]
    assert story.acks() > 0
    # 3 has voted, and nothing else has reached it: the disk that it had at that moment.
    three.crash()
    three.disk = Disk(membership=first_peers(three.voters), hard_state=HardState(1, 1))
    story.invariants._floor.pop(three.incarnation, None)
    kept = list(story.invariants.committed)
    one.wipe()
    story.network.split({1}, {2}, {3})  # 1 is alone for a moment, but for what was on its way already
    story.network.cut(2, "client0")
    three.start()
    one.start()
    assert one.replica
    while one.replica.role == "follower":
        story.run_for(5)
    for pre in (True, False):
        for row in late:
            if row[1].pre is pre:  # type: ignore[union-attr]
                one.receive(*row)
        story.run_for(10)
    story.network.mend()
    story.network.split({1, 3}, {2})
    story.run_for(LEASE)
    again = three.disk.log[0].chain if three.disk.log else b""
    assert again in (b"", kept[0].chain), f"{len(kept)} committed entries, the first of them now stands there twice"


# ------------------------------------------------------------ 3


def speaks_only_to_whom_it_knows(peer: Peer) -> None:
    """As daemon/sockets.py does: to the peers of its own peers.yaml, of the members that its own log has named, and to
    who has introduced itself (whoever joined later does, to every member)."""
    known: set[int] = set(peer.voters)
    life = [peer.life]
    carry_out = peer._carry_out

    def limited(effect: Effect) -> None:
        if life[0] != peer.life:
            life[0] = peer.life
            known.clear()
            known.update(peer.voters)
        if peer.replica:
            known.update(one.peer for one in peer.replica.membership.members)
        if isinstance(effect, Send) and effect.to not in known:
            return  # counted as peer_message_to_nobody
        carry_out(effect)

    receive = peer.receive

    def met(sender: int, message: Message, incarnation: bytes, boot: int) -> None:
        known.add(sender)
        receive(sender, message, incarnation, boot)

    peer.receive = met  # type: ignore[method-assign]
    peer._carry_out = limited  # type: ignore[method-assign]


def grown(story: Story, *more: int) -> None:
    """These may join later."""
    first = tuple(story.peers)
    for number in more:
        other = Peer(
            number, story.world, story.network, story.invariants, first, story.peers[1].timing, story.peers[1].limits
        )
        other.disk.membership = story.peers[1].disk.membership.__class__(0, story.peers[1].disk.membership.members)
        story.peers[number] = other
        other.others = story.peers
        other.clock_rate, other.sync_ms = 1.0, (0.05, 0.5)
    for peer in story.peers.values():
        speaks_only_to_whom_it_knows(peer)


def test_a_follower_can_answer_a_leader_that_joined_while_it_was_away() -> None:
    """1 to 5; while 5 is down 6 and 7 are added, and 1 to 4 removed: 5, 6, 7. Then 6 dies and 5 comes back: 5 and 7 are
    a majority, up and connected. 7 has the log, but 5 has no address of 7 (neither peers.yaml nor its log names it), so
    that its votes and answers go to nobody; and 7's entries, which would tell it, wait for those answers."""
    story = Story(5)
    grown(story, 6, 7)
    story.peers[5].crash()
    story.run_for(LEASE)
    voters = [1, 2, 3, 4, 5]
    for number in (6, 7):
        story.peers[number].start()
        story.operator.wish(ADD, number)
        voters.append(number)
        story.run_until(lambda: _voters(story) == tuple(voters), 20 * LEASE)
    for number in (1, 2, 3, 4):
        story.operator.wish(REMOVE, number)
        voters.remove(number)
        story.run_until(lambda: _voters(story) == tuple(voters), 40 * LEASE)
    story.run_for(2 * LEASE)
    story.peers[6].crash()
    story.peers[5].start()
    story.run_until(lambda: story.leader() in (5, 7), 60 * LEASE)


def _voters(story: Story) -> tuple[int, ...]:
    return story.invariants.membership.voters if story.invariants.membership else ()


# ------------------------------------------------------------ 4


def test_an_operator_cannot_replace_the_leader_by_another_process_of_its_id() -> None:
    """Somebody starts a second, empty peer 1; it asks 2, who passes that on to the leader, which is 1. `hfzmq peer add
    1` is to be refused ("another process runs as peer 1"), but the leader never hears itself: it takes itself for
    silent, is no voter any more, and its count of the quorum asserts."""
    story = Story(3)
    one = story.peers[1]
    nobody = Nobody()
    for number in range(20):
        request = JoinRequest(Member(address(1), b"1.impostor"))
        story.peers[2].take(Received(1, request, b"1.impostor", 1))
        story.run_for(50)
        one.take(Change((nobody, number), ADD, 1))
        assert one.replica
        assert one.replica.membership.of(1).incarnation == b"1.1", "the leader has replaced itself"  # type: ignore[union-attr]
        story.run_for(50)
    assert any(reply.status == "REFUSED" for reply in nobody.replies)


# ------------------------------------------------------------ 5


def test_a_snapshot_that_comes_late_to_a_leader_does_not_use_up_its_room_for_clients() -> None:
    """A peer begins to pull a snapshot, then appends reach it after all, then it leads; then the snapshot is complete.
    `wants` raises the *leader's* commit past what `advance` would have counted off: those bytes count as uncommitted
    for the rest of its lead, and clients are told BUSY."""
    entries = log_of(1)
    for seq in range(1, 6):
        entries.append(batch(end_of(entries), 1, seq, text=b"x" * 300))
    bench = Bench(1, (1, 2, 3), log=entries, limits=Limits(uncommitted_bytes_max=1500))
    bench.lead()
    assert not bench.replica.wants(end_of(entries))  # a source says that it has applied all of them
    bench.answer(2, 3)
    assert bench.replica.serves
    effects: list[Effect] = []
    for seq in range(6, 9):
        effects += bench.propose(ask(seq))
        effects += bench.answer(2, 3)
    assert [status for _, status in statuses(effects)] == ["ACK"] * 3


# ------------------------------------------------------------ 6


def test_a_peer_that_needs_a_snapshot_catches_up_while_clients_go_on() -> None:
    """To scale: the log is cut behind everybody after 40 entries (20,000 to 40,000 in a daemon) and a snapshot takes a
    second to make, send and take in, in which clients bring more than that. Each snapshot is too old when it is there:
    the wiped peer never becomes a voter again as long as clients go on, and the mesh stays one failure from the end."""
    story = Story(3, clients=4)
    for peer in story.peers.values():
        peer.transfer_ms = (900.0, 1000.0)
        assert peer.replica
        peer.limits = peer.limits._replace(log_entries_keep=100)
        peer.replica._limits = peer.limits
    story.peers[3].wipe()
    story.peers[3].start()
    story.run_until(lambda: _voters(story) == (1, 2), 20 * LEASE)
    story.run_until(lambda: _voters(story) == (1, 2, 3), 60 * LEASE)


# ------------------------------------------------------------ 7


def test_founders_that_have_all_lost_their_disks_do_not_found_a_second_mesh_beside_a_living_peer() -> None:
    """1, 2, 3 found; 4 and 5 join. 1, 2 and 3 lose their disks at once: a majority is gone, and the mesh must refuse
    (4 and 5 have everything, and campaign in vain). But the three first peers agree with each other: they found a new,
    empty mesh of the same id, and clients are acknowledged there from seq 1 (or told GAP), though 4 and 5 ask all of
    them for votes, with founded members and a long log, the whole time."""
    story = Story(3)
    for number in (4, 5):
        one = story.peers[1]
        joins = Peer(number, story.world, story.network, story.invariants, (1, 2, 3), one.timing, one.limits)
        joins.others, joins.sync_ms = story.peers, (0.05, 0.5)
        story.peers[number] = joins
        joins.start()
        story.operator.wish(ADD, number)
        story.run_until(lambda: number in _voters(story), 20 * LEASE)  # noqa: B023
    for number in (1, 2, 3):
        story.peers[number].wipe()
    for number in (1, 2, 3):
        story.peers[number].start()
    story.run_for(10 * LEASE)
    assert story.leader() == 0
