"""SIGHUP: peers.yaml is read again, and what of it can be in force at once.

Touches peers.yaml and the environment. Must not know: sockets. Keeps: a file that is wrong changes nothing.
"""

from __future__ import annotations

import os

from hfzmq import config as configuration
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config
from hfzmq.environment import overlay
from hfzmq.errors import ConfigError


def reread(old: Config) -> tuple[Config, str]:
    """What is in force from now on, and that in words: a list of keys at once, where there were keys before; all the
    rest at the next start. ConfigError: the file is wrong."""
    try:
        return _reread(old)
    except ConfigError:
        raise
    except Exception as error:  # whatever the file holds: a daemon that runs goes on
        cause = f"internal error: {type(error).__name__}: {error}"
        raise ConfigError(old.path, None, "", cause, hint="nothing of it is in force; hfzmq config check") from error


def _reread(old: Config) -> tuple[Config, str]:
    fresh = overlay(configuration.load(old.path), os.environ)
    rules_of(fresh)
    if fresh.keys is not None and old.keys is not None:
        fresh = fresh._replace(keys=fresh.keys._replace(own=old.keys.own))
    changed = [name for name in Config._fields if getattr(fresh, name) != getattr(old, name)]
    words = []
    if "keys" in changed and fresh.keys is not None and old.keys is not None:
        changed.remove("keys")
        old = old._replace(keys=fresh.keys)
        words.append("the keys are in force as the file says")
    if changed:
        words.append(f"{', '.join(changed)} takes effect at restart")
    return old, "; ".join(words) or "no change"
