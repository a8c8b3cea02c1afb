"""The channels by which an alarm reaches people: what ``alarms.channels`` of a peers.yaml says of them.

Touches nothing (YAML nodes come in) but, in ``missing_programs``, this machine's search path. Must not know: how a
notice is delivered. Keeps: channel names are unique; a URL's secrets are shown by no ``str``, ``repr`` or error, only
by ``Url.whole``; a program's arguments likewise by ``argv``.

    alarms:
      channels:
        - {name: log, kind: log}
        - {name: desk, kind: bell, from_step: 1}
        - {name: pager, kind: command, argv: [/usr/local/bin/page, --now], from_step: 2}
        - {name: mail, kind: apprise, url: "mailto://user:password@host", from_step: 3, timeout_ms: 10000}
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hfzmq.errors import HfzmqError

if TYPE_CHECKING:
    import yaml

    from hfzmq.yaml_reader import YamlReader

LOG, BELL, COMMAND, APPRISE = "log", "bell", "command", "apprise"
STEPS = (1, 2, 3)
_KINDS_HINT = "mail, ntfy, webhook and the like: kind: apprise, with their url"
_ARGV_HINT = "the program, then each argument: argv: [/usr/local/bin/page, --now]"
CHANNELS_MAX = 32
ARGUMENTS_MAX = 64
ARGUMENT_CHARS_MAX = 4096
URL_CHARS_MAX = 2048
INSTALL = "install hfzmq again with its extra 'notify': pip install 'WHEEL_OR_FOLDER[notify]'"

_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # kind -> what it needs, what it may have
    LOG: ((), ()),
    BELL: ((), ()),
    COMMAND: (("argv",), ("timeout_ms", "retry_for_ms")),
    APPRISE: (("url",), ("timeout_ms", "retry_for_ms")),
}
_BOUNDS = {"from_step": (STEPS[0], STEPS[-1]), "timeout_ms": (100, 120_000), "retry_for_ms": (0, 86_400_000)}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_KEY = re.compile(r"[A-Za-z_]{1,32}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://\S+")


class Url:
    """An Apprise URL. It holds secrets: whatever shows it shows ``scheme://...``; ``whole`` is for the sender."""

    __slots__ = ("whole",)

    def __init__(self, whole: str) -> None:
        self.whole = whole

    @property
    def scheme(self) -> str:
        """``mailto`` of ``mailto://...``, in lower case."""
        return self.whole.partition("://")[0].lower()

    def __repr__(self) -> str:
        return f"{self.scheme}://..."

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self.whole == other.whole

    def __hash__(self) -> int:
        return hash(self.whole)


class Channel(NamedTuple):
    """One way to people. ``from_step`` (1 to 3): the step of escalation from which it is used.

    ``timeout_ms``: an attempt that takes longer is killed. ``retry_for_ms``: so long a failed notice is tried again.
    """

    name: str
    kind: str
    from_step: int = 1
    argv: tuple[str, ...] = ()  # of a command
    url: Url | None = None  # of an Apprise channel
    timeout_ms: int = 10_000
    retry_for_ms: int = 15 * 60_000

    def __repr__(self) -> str:
        what = f" {self.url}" if self.url else f" {self.argv[0]}" if self.argv else ""
        return f"<{self.kind} channel {self.name}{what} from step {self.from_step}>"


DEFAULT = (Channel("log", LOG),)


def used_at(channels: Iterable[Channel], step: int) -> tuple[Channel, ...]:
    """The channels that a notice of ``step`` goes to."""
    return tuple(channel for channel in channels if channel.from_step <= step)


# ------------------------------------------------------------ the text


def parse_channels(reader: YamlReader, node: yaml.Node | None, key: str = "alarms.channels") -> tuple[Channel, ...]:
    """The channels of a list; DEFAULT where there is none. ConfigError names file, line, key and cause."""
    if node is None:
        return DEFAULT
    channels: list[Channel] = []
    for number, item in enumerate(reader.sequence(node, key, 0, CHANNELS_MAX)):
        channel = _parse_channel(reader, item, f"{key}[{number}]")
        if any(channel.name == other.name for other in channels):
            reader.fail(item, f"{key}[{number}].name", f"{channel.name} is another channel's name", hint="rename one")
        channels.append(channel)
    return tuple(channels)


def render_channels(channels: Iterable[Channel], *, secrets: bool) -> list[str]:
    """The lines below ``channels:``; ``parse_channels`` reads them back only when written with their ``secrets``."""
    return [f"- {{{', '.join(f'{key}: {value}' for key, value in _shown(c, secrets))}}}" for c in channels]


def _parse_channel(reader: YamlReader, node: yaml.Node, place: str) -> Channel:
    _refuse_glued(reader, node, place)
    known = ("from_step", "argv", "url", "timeout_ms", "retry_for_ms")
    fields = reader.mapping(node, place, required=("name", "kind"), optional=known)
    name = reader.scalar(fields["name"], f"{place}.name", "a name")
    if not _NAME.fullmatch(name):
        reader.fail(fields["name"], f"{place}.name", "1 to 32 letters, digits, points and dashes", hint="e.g. pager")
    kind = reader.scalar(fields["kind"], f"{place}.kind", "a kind")
    if kind not in _KEYS:
        reader.fail(
            fields["kind"],
            f"{place}.kind",
            "one of " + ", ".join(_KEYS),
            got=kind if kind.isalpha() else None,
            hint=_KINDS_HINT,
        )
    needed, optional = _KEYS[kind]
    fields = reader.mapping(node, place, required=("name", "kind", *needed), optional=("from_step", *optional))
    return Channel(
        name,
        kind,
        argv=_argv(reader, fields["argv"], f"{place}.argv") if "argv" in fields else (),
        url=_url(reader, fields["url"], f"{place}.url") if "url" in fields else None,
        **{
            key: reader.integer(fields[key], f"{place}.{key}", *bounds)
            for key, bounds in _BOUNDS.items()
            if key in fields
        },
    )


def _refuse_glued(reader: YamlReader, node: yaml.Node, place: str) -> None:
    # ``url:mailto://user:password@host`` lacks a space and is a key: "unknown key" would show the password.
    import yaml

    for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key_node.value, str) or not _KEY.fullmatch(key_node.value):
            reader.fail(key_node, place, "not a key", hint='a space behind each colon: url: "scheme://..."')


def _argv(reader: YamlReader, node: yaml.Node, place: str) -> tuple[str, ...]:
    found = []
    for number, item in enumerate(reader.sequence(node, place, 1, ARGUMENTS_MAX, hint=_ARGV_HINT)):
        expected = f"text of at most {ARGUMENT_CHARS_MAX} printable characters"
        text = reader.scalar(item, f"{place}[{number}]", expected)
        if len(text) > ARGUMENT_CHARS_MAX or not text.isprintable() or (number == 0 and not text):
            reader.fail(item, f"{place}[{number}]", expected, hint="no shell reads it: one item for each argument")
        found.append(text)
    return tuple(found)


def _url(reader: YamlReader, node: yaml.Node, place: str) -> Url:
    expected = f"an Apprise URL, scheme://..., of at most {URL_CHARS_MAX} printable characters without spaces"
    text = reader.scalar(node, place, expected)
    if len(text) > URL_CHARS_MAX or not text.isprintable() or not _URL.fullmatch(text):
        reader.fail(node, place, expected, hint="its secrets may need quoting: %23 for #, %40 for @")
    return Url(text)


def _shown(channel: Channel, secrets: bool) -> list[tuple[str, str]]:
    found = [("name", channel.name), ("kind", channel.kind), ("from_step", str(channel.from_step))]
    if channel.argv:
        argv = channel.argv if secrets else (channel.argv[0], *["..."] * (len(channel.argv) > 1))
        found.append(("argv", json.dumps(argv, ensure_ascii=False)))
    if channel.url:
        found.append(("url", json.dumps(channel.url.whole if secrets else str(channel.url), ensure_ascii=False)))
    if channel.kind in (COMMAND, APPRISE):
        found += [("timeout_ms", str(channel.timeout_ms)), ("retry_for_ms", str(channel.retry_for_ms))]
    return found


# ------------------------------------------------------------ what a channel needs on a machine


def missing_programs(channels: Iterable[Channel]) -> list[tuple[str, str]]:
    """(channel, program) of each ``command`` whose program this machine does not have, or may not run."""
    commands = [(channel.name, channel.argv[0]) for channel in channels if channel.argv]
    return [(name, program) for name, program in commands if shutil.which(program) is None]


def require_apprise(channels: Sequence[Channel]) -> None:
    """HfzmqError, naming the extra, when a channel needs Apprise and it is not installed."""
    names = [channel.name for channel in channels if channel.kind == APPRISE]
    if names and importlib.util.find_spec("apprise") is None:
        raise HfzmqError(f"alarms.channels: {', '.join(names)}: Apprise is not installed", hint=INSTALL)


def unknown_urls(channels: Sequence[Channel]) -> list[str]:
    """The names of the Apprise channels whose URL Apprise refuses. Loads Apprise: half a second."""
    require_apprise(channels)
    urls = {channel.name: channel.url.whole for channel in channels if channel.url}
    if not urls:
        return []
    import apprise

    apprise.logger.disabled = True  # it would write the URL out
    try:
        return [
            name for name, url in urls.items() if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None
        ]
    finally:
        apprise.logger.disabled = False
