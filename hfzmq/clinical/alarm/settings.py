"""The rules of alarms that a peers.yaml sets, judged.

Touches nothing. Must not know: who asks. Keeps: rules that come out can be in force; what cannot be is refused with the
file, the line, the rule, its bound and what to do; so is what would reach nobody (see reach).
"""

from __future__ import annotations

from hfzmq.clinical.alarm.reach import refuse_unreachable
from hfzmq.clinical.alarm.rules import AlarmRules, from_mapping
from hfzmq.config import Config
from hfzmq.errors import ConfigError
from hfzmq.yaml_reader import likely


def rules_of(config: Config) -> AlarmRules:
    """The rules of a site: what its file sets, the defaults for the rest. ConfigError."""
    settings = {setting.name: setting.value for setting in config.alarm_rules}
    rules = from_mapping(settings)
    if isinstance(rules, AlarmRules):
        refuse_unreachable(config, rules)
        return rules
    lines = {setting.name: setting.line for setting in config.alarm_rules}
    line = lines.get(rules.field) or min(lines.values(), default=None)  # a relation may name a rule that is a default
    is_rule = rules.field in AlarmRules._fields
    got = settings.get(rules.field) if is_rule else None
    hint = rules.hint if is_rule else likely(rules.field, AlarmRules._fields) + rules.hint
    raise ConfigError(config.path, line, f"alarms.rules.{rules.field}", rules.bound, got=got, hint=hint)
