"""Adds keys to the text of a peers.yaml, and leaves all the rest of it as somebody wrote it.

    no section --with_section--> keys: ...          a section --with_entry--> one more line in it

Touches nothing: text comes in, text goes out. Must not know: files, secrets. Keeps: what comes out parses, and holds
what was there, the comments too, and the one thing that was added; where that cannot be had, ConfigError.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from hfzmq.config import Config, parse
from hfzmq.errors import ConfigError
from hfzmq.key_section import NO_KEYS_YET, Keys, quoted_name, render_keys

_BY_HAND = "write it by hand, as docs/operations/keys.md shows"


def with_section(text: str, path: str, keys: Keys) -> str:
    """``text``, which has no keys yet, with ``keys`` at its end; a line that says plain goes."""
    before = parse(text, path, unkeyed_is_fine=True)
    lines = text.splitlines()
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    for at, value in top.value if isinstance(top, yaml.MappingNode) else ():
        if at.value == "security":
            del lines[at.start_mark.line : value.end_mark.line + 1]
    lines = [line for line in lines if not line.startswith(NO_KEYS_YET)]
    made = "\n".join([*lines, *render_keys(keys)]) + "\n"
    return _checked(made, path, before._replace(keys=keys))


def with_entry(text: str, path: str, section: str, key: str, name: str = "") -> str:
    """``text`` with one more ``key`` in a ``section`` of its keys: ``peers`` (``name``: an id), ``admins``, ``clients``
    (``name``) or ``revoked``. A peer's key takes the place of the one that it had."""
    before = parse(text, path)
    if before.keys is None:
        raise ConfigError(path, None, "keys", "the file has none", hint=f"make them: hfzmq keys init --config {path}")
    keys, entry = _added(before.keys, section, key, name)
    keys = keys._replace(former=())
    top: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # parse has seen that these are mappings
    node = next(value for at, value in top.value if at.value == "keys")
    parts = {at.value: value for at, value in node.value}
    part = parts.get(section)
    if section == "peers" and isinstance(part, yaml.MappingNode):
        old = next((value for at, value in part.value if at.value == name), None)
        if old is not None:
            made = text[: old.start_mark.index] + json.dumps(key) + text[old.end_mark.index :]
            return _checked(made, path, before._replace(keys=keys))
    if part is not None and part.flow_style:
        end = part.end_mark.index - 1  # its closing bracket
        made = text[:end] + (", " if part.value else "") + entry + text[end:]
    elif part is not None and part.value:
        last = part.value[-1][1] if isinstance(part, yaml.MappingNode) else part.value[-1]
        first = part.value[0][0] if isinstance(part, yaml.MappingNode) else part.value[0]
        dash = "- " if section == "revoked" else ""
        indent = first.start_mark.column - len(dash)
        made = _line_after(text, last.end_mark.index, " " * indent + dash + entry)
    elif node.flow_style:
        end = node.end_mark.index - 1
        made = text[:end] + f", {section}: {_opening(section)}{entry}" + _closing(section) + text[end:]
    else:
        last = _last_scalar(node)
        indent = node.value[0][0].start_mark.column
        made = _line_after(text, last, f"{' ' * indent}{section}: {_opening(section)}{entry}{_closing(section)}")
    return _checked(made, path, before._replace(keys=keys))


def _added(keys: Keys, section: str, key: str, name: str) -> tuple[Keys, str]:
    if section == "revoked":
        return keys._replace(revoked=(*keys.revoked, key)), json.dumps(key)
    entry = f"{quoted_name(name)}: {json.dumps(key)}"
    if section == "peers":
        return keys.knowing({int(name): key}), entry
    if section == "admins":
        return keys._replace(admins=(*keys.admins, (name, key))), entry
    return keys._replace(clients=(*keys.clients, (name, key))), entry


def _opening(section: str) -> str:
    return "[" if section == "revoked" else "{"


def _closing(section: str) -> str:
    return "]" if section == "revoked" else "}"


def _last_scalar(node: Any) -> int:
    """Where the last thing that stands in a node ends."""
    while True:
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            return int(node.end_mark.index)
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]


def _line_after(text: str, index: int, line: str) -> str:
    end = text.find("\n", index)
    return f"{text}\n{line}\n" if end < 0 else f"{text[: end + 1]}{line}\n{text[end + 1 :]}"


def _checked(made: str, path: str, expected: Config) -> str:
    try:
        found = parse(made, path)
    except ConfigError as error:
        raise ConfigError(path, None, "keys", f"cannot be added to this file ({error.bound})", hint=_BY_HAND) from None
    if found._replace(alarm_rules=()) != expected._replace(alarm_rules=()):  # whose lines may have moved
        raise ConfigError(path, None, "keys", "cannot be added to this file", hint=_BY_HAND)
    return made
