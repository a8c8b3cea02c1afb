"""Settings by environment: they stand above peers.yaml and below what a command's own flags say.

Touches nothing: the environment comes in as a mapping. Must not know: commands. Keeps: what comes out is as valid as a
checked file; a wrong variable is refused by its name; an empty one is one that is not set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hfzmq.config import HEART_RATE_BOUNDS, HEART_RATE_ORDER, LOG_LEVELS, Config, heart_rate_fault
from hfzmq.errors import ConfigError

HEART_RATE_VARIABLES = {
    "CUSTOMER_COUNT": "patients",
    "HEART_RATE_MIN": "valid_min",
    "HEART_RATE_MAX": "valid_max",
    "INVALID_HEART_RATE_MIN": "invalid_min",
    "INVALID_HEART_RATE_MAX": "invalid_max",
}
LOG_LEVEL = "LOG_LEVEL"
VARIABLES = (*HEART_RATE_VARIABLES, LOG_LEVEL)

_WHERE = "environment"


def overlay(config: Config, environ: Mapping[str, str]) -> Config:
    """``config`` with what ``environ`` (such as ``os.environ``) sets in its place; ConfigError names the variable."""
    given = {name: environ[name].strip() for name in VARIABLES if environ.get(name, "").strip()}
    numbers = {
        setting: _whole(variable, given[variable], *HEART_RATE_BOUNDS[setting])
        for variable, setting in HEART_RATE_VARIABLES.items()
        if variable in given
    }
    heart_rate = config.heart_rate._replace(**numbers)
    wrong = heart_rate_fault(heart_rate)
    if wrong:
        _refuse_order(wrong, numbers)
    level = given.get(LOG_LEVEL, config.log_level).lower()
    if level not in LOG_LEVELS:
        raise ConfigError(
            _WHERE,
            None,
            LOG_LEVEL,
            "one of " + ", ".join(LOG_LEVELS),
            got=level,
            hint=f"export {LOG_LEVEL}=info, or unset it",
        )
    return config._replace(heart_rate=heart_rate, log_level=level)


def _whole(variable: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise ConfigError(
            _WHERE, None, variable, f"a whole number, {low} to {high}", got=text, hint="decimal digits only"
        )
    return int(text)


def _refuse_order(wrong: tuple[str, str], given: Mapping[str, int]) -> None:
    lower, cause = wrong
    variables = {setting: variable for variable, setting in HEART_RATE_VARIABLES.items()}
    upper = {"invalid_min": "valid_min", "valid_min": "valid_max", "valid_max": "invalid_max"}[lower]
    if lower in given:
        raise ConfigError(_WHERE, None, variables[lower], cause, hint=HEART_RATE_ORDER)
    raise ConfigError(_WHERE, None, variables[upper], f"must be above {lower}", hint=HEART_RATE_ORDER)
