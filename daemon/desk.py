"""The clients' desk: requests come in as bytes, become events or queries, and answers go out as bytes.

Touches no socket itself (it is handed the way out). Must not know: who leads, what is stored.

    submit  -> Proposal for the core            -> ACK, NOT_LEADER, ... when the core replies
               (readings get their verdicts here, from the leader, so that all peers store the same)
    reports, readings, alerts -> the query thread, after a quorum round where ``consistent`` is asked
    beds    -> the query thread, with the ward's live picture
    change  -> Change for the core              -> ACK, REFUSED, NOT_LEADER, ... when the core replies
    alarm   -> the watch, which tells the log -> ACK, REFUSED, NOT_LEADER, ...
    backup  -> the backups; a piece is read by the query thread
    seen    -> the ward's picture, from where it goes on to the leader;  status, members -> at once

Keeps: every request gets exactly one answer or none (never two); a wrong one is refused with its field and bound,
counted, and harms nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hfzmq.access import ADMIN, may, who_may
from hfzmq.clinical.alarm.facts import Action
from hfzmq.clinical.alarm.types import NOT_FOUND
from hfzmq.clinical.heart_rate import rules_of
from hfzmq.config import Config, PeerAddress
from hfzmq.core import contract
from hfzmq.core.contract import Change, Proposal, ReadIndex, Reply
from hfzmq.core.types import Origin
from hfzmq.daemon.about import About
from hfzmq.daemon.backups import Backups
from hfzmq.daemon.clocks import monotonic_ms, wall_clock_ms
from hfzmq.daemon.queries import Queries
from hfzmq.daemon.ward import Ward
from hfzmq.daemon.watch import Watch, WatchRoute
from hfzmq.errors import WireError
from hfzmq.wire import backup, requests
from hfzmq.wire.body import ACCESS, READINGS, encode_body
from hfzmq.wire.pages import Page
from hfzmq.wire.readings import SubmitReadings, judge_rows

ACT_RETRY_MS = 100
KEY_FIELD = "key"  # of a refusal: what was asked for takes a key with more rights
PLAIN_HINT = "this mesh has none: security: plain in peers.yaml; hfzmq keys init makes some"
KEY_HINT = "name such a key: --key FILE; which there are: hfzmq keys show"
ALARMS_HINT = "see them: hfzmq alarms ls"
NOBODY = Origin("", b"", 0, b"")  # of what is only to be sent elsewhere
READS_RETRY_MS = 100  # when the query thread has too much to do

Rejected = list[tuple[int, str, str, str]]


@dataclass(frozen=True, slots=True)
class SubmitRoute:
    """The way back for a submit: the client's routing frames, and the rows that were left out."""

    frames: tuple[bytes, ...]
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class ChangeRoute:
    """The way back for a change of members."""

    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadRoute:
    """The way back for a consistent read, and the read."""

    frames: tuple[bytes, ...]
    request: Page


class Desk:
    """``answer(frames)`` sends to a client; ``about`` is what this peer says about itself and the mesh."""

    def __init__(
        self,
        config: Config,
        answer: Callable[[list[bytes]], None],
        about: About,
        queries: Queries,
        ward: Ward,
        watch: Watch,
        backups: Backups,
        counters: Counter[str],
    ) -> None:
        self._config = config
        self._rules = rules_of(config.heart_rate)
        self._answer = answer
        self._about = about
        self._queries = queries
        self._ward = ward
        self._watch = watch
        self._backups = backups
        self._counters = counters

    def take(
        self, frames: list[bytes], leads: bool, role: str | None = ADMIN, name: str = ""
    ) -> Proposal | ReadIndex | Change | None:
        """A request from the ROUTER: [routing id, '', message]. What the core must decide is returned.

        ``leads``: whether rows are worth checking here; whoever does not lead only redirects. ``role``: of the key that
        it came with, ADMIN where there are no keys. None: it was revoked since it was let in, and gets not a word.
        ``name``: of that key."""
        if role is None:
            self._counters["client_request_key_not_in_force"] += 1
            return None
        if len(frames) != 3 or frames[1]:
            self._counters["client_frames_malformed"] += 1
            return None
        route = (frames[0], frames[1])
        try:
            request = requests.decode_request(frames[2], self._config.mesh_id, self._config.limits)
        except WireError as error:
            self._refuse(route, error)
            return None
        op = requests.op_of(request)
        if not may(role, op):
            self._counters["client_request_not_allowed"] += 1
            self.reply(route, "REFUSED", field=KEY_FIELD, bound=f"{who_may(op)}, for {op}", hint=KEY_HINT)
            return None
        if isinstance(request, requests.Access) and self._about.in_force is None:
            # It would stand in the log, in force on the day on which this mesh gets keys.
            self.reply(route, "REFUSED", field="op", bound="keys are issued where there are keys", hint=PLAIN_HINT)
            return None
        if isinstance(request, (requests.Submit, SubmitReadings, requests.Access)):
            try:
                return self._submission(route, request, leads)
            except WireError as error:
                self._refuse(route, error)
                return None
        if isinstance(request, requests.Status):
            self.reply(route, "OK", peer=self._about.status())
        elif isinstance(request, requests.Members):
            self.reply(route, "OK", **self._about.members())
        elif isinstance(request, requests.ListKeys):
            self.reply(route, "OK", **self._about.keys())
        elif isinstance(request, requests.Change):
            return Change(ChangeRoute(route), request.action, request.peer)
        elif isinstance(request, requests.Seen):
            self._ward.take(request.rows)
            self.reply(route, "OK")
        elif isinstance(request, requests.Beds):
            if not self._queries.ask_beds(route, self._ward.rows(request.since_ms)):
                self.reply(route, "BUSY", retry_ms=READS_RETRY_MS)
        elif isinstance(request, requests.Act):
            return self._act(route, request, leads)
        elif isinstance(request, requests.TakeBackup):
            self._give_backup(route, request, name)
        elif request.consistent:
            return ReadIndex(ReadRoute(route, request))
        else:
            self._read(route, request)
        return None

    def _submission(
        self, route: tuple[bytes, ...], request: requests.Submit | SubmitReadings | requests.Access, leads: bool
    ) -> Proposal:
        origin = Origin(request.client, request.epoch, request.seq, request.digest)
        if not leads:
            return Proposal(SubmitRoute(route, []), origin, b"")  # the core only says where to go
        # The stamp is the log's clock, as that of facts: else a silence that begins with it would begin in the past
        # where the last leader's clock was ahead. When a reading was measured is compared with this machine's.
        stamp_ms, rows_max = self._watch.stamp_ms(monotonic_ms()), self._config.limits.batch_rows_max
        if isinstance(request, SubmitReadings):
            rows, rejected = judge_rows(request.rows, rows_max, wall_clock_ms(), self._rules)
            body = encode_body(stamp_ms, rows, READINGS)
        elif isinstance(request, requests.Access):
            rejected, body = [], encode_body(stamp_ms, request.rows, ACCESS)
        else:
            rows, rejected = requests.accept_rows(request.rows, rows_max)
            body = encode_body(stamp_ms, rows)
        self._counters["rows_rejected"] += len(rejected)
        return Proposal(SubmitRoute(route, rejected), origin, body)

    def _act(self, route: tuple[bytes, ...], request: requests.Act, leads: bool) -> Proposal | None:
        """On an alarm: the leader's watch tells the log, and answers; whoever does not lead only says where to go."""
        if not leads:
            return Proposal(SubmitRoute(route, []), NOBODY, b"")
        self._watch.act(route, Action(*request))
        return None

    def _give_backup(self, route: tuple[bytes, ...], request: requests.TakeBackup, name: str) -> None:
        answer = self._backups.asked(name, request)
        if callable(answer):
            if not self._queries.ask(route, answer):
                self.reply(route, "BUSY", retry_ms=READS_RETRY_MS)
            return
        status, fields = backup.told(answer)
        self.reply(route, status, **fields)

    def acted(self, route: tuple[bytes, ...], index: int, outcome: str) -> None:
        """What became of somebody's action on an alarm, by the entry at ``index``."""
        if outcome == NOT_FOUND:
            self.reply(route, "REFUSED", field="episode", bound="an alarm or a bed that there is", hint=ALARMS_HINT)
        else:
            self.reply(route, "ACK", index=index, outcome=outcome)

    def answered(self, reply: Reply) -> None:
        """The core has decided."""
        route = reply.route
        self._counters[f"replies_{reply.status.lower()}"] += 1
        if isinstance(route, WatchRoute):
            for action in self._watch.answered(reply):
                self._undecided(action, reply)
            return
        if isinstance(route, ReadRoute):
            self._answered_read(route, reply)
            return
        extra: dict[str, object] = {"members_index": self._about.members_index()}
        if isinstance(route, ChangeRoute) and reply.status == contract.ACK:
            self.reply(route.frames, "ACK", index=reply.index, **extra)
        elif reply.status == contract.REFUSED:
            self.reply(route.frames, "REFUSED", field="peer", bound=reply.why, hint="", **extra)
        elif reply.status == contract.ACK:
            kept = {"seq": reply.seq, "term": reply.term, "index": reply.index, "rejected": route.rejected}
            self.reply(route.frames, "ACK", **kept, **extra)
        elif reply.status == contract.NOT_LEADER:
            self.reply(route.frames, "NOT_LEADER", **self._where(reply.leader), **extra)
        elif reply.status == contract.BUSY:
            self.reply(route.frames, "BUSY", retry_ms=reply.retry_ms, **extra)
        elif reply.status == contract.CONFLICT:
            self.reply(route.frames, "CONFLICT", seq=reply.seq, index=reply.index, **extra)
        elif reply.status == contract.GAP:
            self.reply(route.frames, "GAP", seq=reply.seq, expected=reply.expected, **extra)
        else:
            self.reply(route.frames, "NO_QUORUM", **extra)

    def send_away(self, routes: Sequence[tuple[bytes, ...]]) -> None:
        """Who waits for what only a leader does: it leads no more."""
        for route in routes:
            self.reply(route, "NOT_LEADER", **self._where(0))

    def _undecided(self, route: tuple[bytes, ...], reply: Reply) -> None:
        """Whether an action on an alarm was taken in is not known: it may be asked for again."""
        if reply.status == contract.NOT_LEADER:
            self.reply(route, "NOT_LEADER", **self._where(reply.leader))
        elif reply.status == contract.NO_QUORUM:
            self.reply(route, "NO_QUORUM")
        else:
            self.reply(route, "BUSY", retry_ms=ACT_RETRY_MS)

    def _answered_read(self, route: ReadRoute, reply: Reply) -> None:
        if reply.status == contract.READ:
            self._read(route.frames, route.request)
        elif reply.status == contract.NOT_LEADER:
            self.reply(route.frames, "NOT_LEADER", **self._where(reply.leader))
        elif reply.status == contract.BUSY:
            self.reply(route.frames, "BUSY", retry_ms=reply.retry_ms)
        else:
            self.reply(route.frames, "NO_QUORUM")

    def _where(self, leader: int) -> dict[str, object]:
        where: PeerAddress | None = self._about.address_of(leader) if leader else None
        if where is None:
            return {"leader": None, "host": None, "port": None}
        return {"leader": where.id, "host": where.host, "port": where.client_port}

    def _refuse(self, route: tuple[bytes, ...], error: WireError) -> None:
        self._counters["client_request_refused"] += 1
        self.reply(route, "REFUSED", field=error.field, bound=error.bound, hint=error.hint)

    def reply(self, route: tuple[bytes, ...], status: str, **fields: object) -> None:
        """Answer one request."""
        self._answer([*route, requests.encode_reply(status, **fields)])

    def _read(self, route: tuple[bytes, ...], request: Page) -> None:
        if not self._queries.ask_page(route, request):
            self.reply(route, "BUSY", retry_ms=READS_RETRY_MS)
