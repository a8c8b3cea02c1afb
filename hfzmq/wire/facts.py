"""What a log entry tells the alarms: rules, signs, actions, clock, what was sent. The rows of a body of format FACTS
(see body), and of the request whose digest is over them: a msgpack array of facts.

A fact is one flat array, its kind first:

    [0] clock    [1, rules as JSON text]    [2, patient_id, timestamp, tier, probability] a sign
    [3, action, target (episode id or patient id), by]    [4, episode_id, step, channel, ok, tries, why] sent

Touches nothing. Must not know: the log, storage. Keeps: a fact that exists holds every bound; any other bytes raise
WireError, and nothing else is ever raised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from hfzmq.clinical.alarm.facts import Action, Clock, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.rules import STEPS_MAX, from_mapping, to_mapping
from hfzmq.clinical.alarm.types import ACTIONS
from hfzmq.clinical.report import TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN, Refusal, check_patient_id, is_legible
from hfzmq.clinical.tiers import TIERS
from hfzmq.errors import WireError
from hfzmq.wire.body import FACTS, split_body
from hfzmq.wire.checks import U63, boolean, integer
from hfzmq.wire.fields import pack
from hfzmq.wire.rows import count_rows, unpack_rows

FACTS_MAX = 10_000  # of one body
BY_CHARS_MAX = 64
CHANNEL_CHARS_MAX = 64
WHY_CHARS_MAX = 200
TRIES_MAX = 1 << 31
RULES_CHARS_MAX = 1 << 21  # more than EXPECTED_MAX beds of the longest names, each character escaped

CLOCK, RULES, SIGN, ACTION, SENT = range(5)
_LENGTH = {CLOCK: 1, RULES: 2, SIGN: 5, ACTION: 4, SENT: 7}


def encode_fact_rows(facts: Sequence[Fact]) -> bytes:
    """The facts without a stamp: what a request carries and its digest is over, and the rows of a body. WireError when
    one breaks a bound."""
    if not 1 <= len(facts) <= FACTS_MAX:
        raise WireError("facts", f"1 to {FACTS_MAX} facts")
    rows = [_row(fact) for fact in facts]
    for row in rows:
        _fact(row)
    return pack(rows)


def decode_facts(body: bytes) -> tuple[int, list[Fact]]:
    """(the leader's stamp in ms, the facts in their order), every value within its bounds; WireError else."""
    stamp_ms, rows = split_body(body, FACTS)
    return stamp_ms, decode_fact_rows(rows)


def decode_fact_rows(data: bytes) -> list[Fact]:
    """The facts in ``data``, every value within its bounds; WireError for any other bytes."""
    if not 1 <= count_rows(data, field="facts") <= FACTS_MAX:
        raise WireError("facts", f"1 to {FACTS_MAX} facts")
    return [_fact(row) for row in unpack_rows(data, field="facts")]


# ------------------------------------------------------------ the parts


def _row(fact: Fact) -> list[Any]:
    if isinstance(fact, RulesSet):
        return [RULES, json.dumps(to_mapping(fact.rules), ensure_ascii=False, separators=(",", ":"))]
    kinds = {Clock: CLOCK, Sign: SIGN, Action: ACTION, Sent: SENT}
    return [kinds[type(fact)], *fact]


def _fact(row: object) -> Fact:
    if not isinstance(row, list) or not row:
        raise WireError("fact", "an array that begins with its kind")
    kind = integer(row[0], "fact.kind", SENT)
    if len(row) != _LENGTH[kind]:
        raise WireError("fact", f"{_LENGTH[kind]} fields for kind {kind}")
    if kind == CLOCK:
        return Clock()
    if kind == RULES:
        return _rules(row[1])
    if kind == SIGN:
        return _sign(row)
    if kind == ACTION:
        return _action(row)
    return Sent(
        integer(row[1], "sent.episode_id", U63, 1),
        integer(row[2], "sent.step", STEPS_MAX, 1),
        _text(row[3], "sent.channel", CHANNEL_CHARS_MAX),
        boolean(row[4], "sent.ok"),
        integer(row[5], "sent.tries", TRIES_MAX, 1),
        _text(row[6], "sent.why", WHY_CHARS_MAX, 0),
    )


def _rules(text: Any) -> RulesSet:
    if not isinstance(text, str) or len(text) > RULES_CHARS_MAX:
        raise WireError("rules", f"JSON text of at most {RULES_CHARS_MAX} characters")
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("rules", "JSON text") from None
    rules = from_mapping(mapping)
    if isinstance(rules, Refusal):
        raise WireError(f"rules.{rules.field}", rules.bound, hint=rules.hint)
    return RulesSet(rules)


def _sign(row: list[Any]) -> Sign:
    probability = row[4]
    if not isinstance(row[3], str) or row[3] not in TIERS:
        raise WireError("sign.tier", "one of " + ", ".join(TIERS))
    if type(probability) is not float or not math.isfinite(probability) or not 0.0 <= probability <= 1.0:
        raise WireError("sign.probability", "a float, 0 to 1")
    timestamp = integer(row[2], "sign.timestamp", TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN)
    return Sign(_patient(row[1], "sign.patient_id"), timestamp, row[3], probability)


def _action(row: list[Any]) -> Action:
    if not isinstance(row[1], str) or row[1] not in ACTIONS:
        raise WireError("action", "one of " + ", ".join(ACTIONS))
    target = row[2]
    if type(target) is int:
        integer(target, "action.target", U63, 1)
    else:
        _patient(target, "action.target")
    return Action(row[1], target, _text(row[3], "action.by", BY_CHARS_MAX))


def _patient(value: Any, field: str) -> str:
    refusal = check_patient_id(value)
    if refusal:
        raise WireError(field, refusal.bound, hint=refusal.hint)
    return str(value)


def _text(value: Any, field: str, most: int, least: int = 1) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not is_legible(value):
        raise WireError(field, f"text of {least} to {most} printable characters")
    return value
