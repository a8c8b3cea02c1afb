"""The settings of peers.yaml that are to be the same on all machines, as a peer's ``status`` tells those it runs with.

Touches nothing. Must not know: who compares. Keeps: what may differ from machine to machine is not among them (log,
HTTP, paths, keys, channels, what only ``hfzmq stream`` uses); no patient's name is told: a list of beds is a digest.
"""

from __future__ import annotations

import hashlib
import json

from hfzmq.clinical.alarm.rules import AlarmRules, to_mapping
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config

Value = int | float | str

JUDGED_BY = ("valid_min", "valid_max", "future_ms")  # of heart_rate: the others are the generator's
DIGEST_BYTES = 4


def told_settings(config: Config) -> dict[str, Value]:
    """Name, as in the file (``timing.lease_ms``), to what is in force, defaults included; ``peers.N`` to that peer's
    host and ports. ConfigError where the rules of alarms cannot be in force."""
    sections: tuple[tuple[str, dict[str, Value]], ...] = (
        ("timing", config.timing._asdict()),
        ("tiers", config.thresholds._asdict()),
        ("heart_rate", {name: getattr(config.heart_rate, name) for name in JUDGED_BY}),
        ("alarms.rules", _rules(rules_of(config))),
        ("limits", config.limits._asdict()),
        ("peers", {str(peer.id): f"{peer.host} {' '.join(map(str, peer[2:]))}" for peer in config.peers}),
    )
    return {f"{section}.{name}": value for section, values in sections for name, value in values.items()}


def _rules(rules: AlarmRules) -> dict[str, Value]:
    told = to_mapping(rules)
    beds = json.dumps(told["expected"]).encode()
    digest = hashlib.blake2b(beds, digest_size=DIGEST_BYTES).hexdigest()
    many = len(rules.expected)
    return {
        **told,
        "steps_ms": " ".join(map(str, rules.steps_ms)),
        "expected": f"{many} bed{'' if many == 1 else 's'} ({digest})" if many else "no bed",
    }
