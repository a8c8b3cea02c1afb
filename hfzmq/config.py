"""peers.yaml becomes a frozen Config: who the peers are, every limit by name and unit, their relations checked.

Touches one file, when asked. Must not know: sockets, the core, medicine. Keeps: a Config that exists is valid; a wrong
file is refused with file, line, key and cause. ``docs/operations`` of the keys: ``hfzmq config init`` writes them all.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hfzmq.alarm_channels import DEFAULT as DEFAULT_CHANNELS
from hfzmq.alarm_channels import Channel, parse_channels, render_channels
from hfzmq.errors import ConfigError
from hfzmq.key_section import NO_KEYS_YET, PLAIN, Keys, parse_security, render_keys
from hfzmq.plain_file import open_plain
from hfzmq.settings import PEER_ID_MAX as PEER_ID_MAX
from hfzmq.settings import HeartRate as HeartRate
from hfzmq.settings import Limits as Limits
from hfzmq.settings import PeerAddress as PeerAddress
from hfzmq.settings import Thresholds as Thresholds
from hfzmq.settings import Timing as Timing
from hfzmq.yaml_reader import YamlReader, child, line_of

PEERS_MAX = 15
LOG_LEVELS = ("debug", "info", "warning", "error")
FILE_BYTES_MAX = 1 << 20


class RuleSetting(NamedTuple):
    """A rule of alarms as it stands in line ``line`` of a file; clinical.alarm.settings judges it."""

    name: str
    value: Any
    line: int


class Config(NamedTuple):
    """What is in force. ``mesh_id`` (16 bytes) keeps two meshes apart; ``path`` is where it was read; ``keys``: who may
    speak, None for plain (nothing is encrypted, everybody may)."""

    mesh_name: str
    mesh_id: bytes
    peers: tuple[PeerAddress, ...]
    timing: Timing = Timing()
    limits: Limits = Limits()
    thresholds: Thresholds = Thresholds()
    path: str = ""
    heart_rate: HeartRate = HeartRate()
    log_level: str = "info"
    alarm_rules: tuple[RuleSetting, ...] = ()
    channels: tuple[Channel, ...] = DEFAULT_CHANNELS
    keys: Keys | None = None

    def peer(self, peer_id: int) -> PeerAddress:
        """The address of ``peer_id``; ConfigError when the mesh has no such peer."""
        for peer in self.peers:
            if peer.id == peer_id:
                return peer
        known = ", ".join(str(p.id) for p in self.peers)
        raise ConfigError(
            self.path,
            None,
            "peers",
            f"no peer with id {peer_id}",
            hint=f"ids in this file: {known}; a new peer is listed here first",
        )

    @property
    def peer_ids(self) -> tuple[int, ...]:
        """All ids, rising."""
        return tuple(peer.id for peer in self.peers)

    def bootstrap_hash(self) -> bytes:
        """16 bytes that peers must agree on to found one mesh: the mesh id and the peers' ids, not their addresses."""
        text = self.mesh_id.hex() + ":" + ",".join(map(str, self.peer_ids))
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def load(path: str | Path, *, unkeyed_is_fine: bool = False) -> Config:
    """Read and check a peers.yaml; ConfigError names file, line, key and cause. ``unkeyed_is_fine``: it need not say
    yet whether there are keys."""
    return parse(read(path), str(path), unkeyed_is_fine=unkeyed_is_fine)


def read(path: str | Path) -> str:
    """The text of a peers.yaml; ConfigError when it cannot be read or is no text."""
    try:
        with open_plain(Path(path)) as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        hint = (
            f"{_WHICH}; or write one: hfzmq config init > peers.yaml" if missing else f"{_WHICH}, one that you may read"
        )
        raise ConfigError(str(path), None, "", error.strerror or "cannot be read", hint=hint) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(str(path), None, "", f"longer than {FILE_BYTES_MAX} bytes", hint="is it the right file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), line, "", "not UTF-8 text", hint="save it as UTF-8") from None


def parse(text: str, path: str = "peers.yaml", *, unkeyed_is_fine: bool = False) -> Config:
    """Check the text of a peers.yaml; ConfigError names ``path``, line, key and cause. As ``load``."""
    reader = YamlReader(path)
    top = reader.mapping(reader.root(text), "", required=("mesh", "peers"), optional=_SECTIONS)
    mesh = reader.mapping(top["mesh"], "mesh", required=("name", "id"))
    name = reader.text(mesh["name"], "mesh.name", 1, 64)
    mesh_id = reader.hex16(mesh["id"], "mesh.id")
    peers = _peers(reader, top["peers"])
    timing = Timing(**reader.integers(top.get("timing"), "timing", _TIMING_BOUNDS))
    limits = Limits(**reader.integers(top.get("limits"), "limits", _LIMIT_BOUNDS))
    thresholds = _thresholds(reader, top.get("tiers"))
    _check_relations(reader, top, timing, limits)
    heart_rate = HeartRate(**reader.integers(top.get("heart_rate"), "heart_rate", HEART_RATE_BOUNDS))
    wrong = heart_rate_fault(heart_rate)
    if wrong:
        name_of, cause = wrong
        reader.fail(child(top.get("heart_rate"), name_of), f"heart_rate.{name_of}", cause, hint=HEART_RATE_ORDER)
    log = reader.mapping(top["log"], "log", optional=("level",)) if "log" in top else {}
    level = reader.choice(log["level"], "log.level", LOG_LEVELS) if log else "info"
    rules, channels = _alarms(reader, top.get("alarms"))
    hosts = {str(node.value): node for item in top["peers"].value if (node := child(item, "host")) is not None}
    keys = parse_security(reader, top.get("security"), top.get("keys"), hosts, unkeyed_is_fine)
    return Config(name, mesh_id, peers, timing, limits, thresholds, path, heart_rate, level, rules, channels, keys)


def render(config: Config, secrets: bool = True, security: bool = True) -> str:
    """The peers.yaml that ``parse`` reads back as ``config``, with a comment for each key; without ``secrets`` it is
    for people only; without ``security`` the file does not say yet whether there are keys."""
    t, m, h, r = config.timing, config.limits, config.thresholds, config.heart_rate
    lines = [
        "# hfzmq: the peers of one mesh. Every machine gets the same file. Check it: hfzmq config check",
        "mesh:",
        f"  name: {_quoted(config.mesh_name)}",
        f"  id: {config.mesh_id.hex()}    # made once; two meshes never share one",
        "peers:    # the lowest id that is well leads",
        *(
            f"  - {{id: {p.id}, host: {_quoted(p.host)}, client_port: {p.client_port}, peer_port: {p.peer_port}, "
            f"beat_port: {p.beat_port}}}"
            for p in config.peers
        ),
        "timing:",
        f"  lease_ms: {t.lease_ms}    # without a leader for so long, a peer campaigns",
        f"  heartbeat_ms: {t.heartbeat_ms}    # at most a fifth of lease_ms",
        f"  handover_settle_ms: {t.handover_settle_ms}    # a lower id that was well for so long is given the lead",
        "tiers:    # probabilities: GREEN below amber_from, AMBER below red_from, RED from there",
        f"  amber_from: {h.amber_from!r}",
        f"  red_from: {h.red_from!r}",
        "heart_rate:    # beats a minute; the leader judges what comes in",
        f"  valid_min: {r.valid_min}    # a reading below is stored as invalid_physiological, low",
        f"  valid_max: {r.valid_max}    # and above as high",
        f"  future_ms: {r.future_ms}    # a reading's stamp may be so far ahead of the leader's clock",
        f"  invalid_min: {r.invalid_min}    # hfzmq stream makes up invalid rates from here",
        f"  invalid_max: {r.invalid_max}    # to here",
        f"  patients: {r.patients}    # of hfzmq stream",
        "alarms:    # rules: docs/alarms.md; where there are none, the defaults",
        "  rules:" + ("" if config.alarm_rules else " {}"),
        *(f"    {rule.name}: {json.dumps(rule.value, ensure_ascii=False)}" for rule in config.alarm_rules),
        "  channels:    # from_step: of the escalation, 1 to 3" + ("" if config.channels else " []"),
        *(f"    {line}" for line in render_channels(config.channels, secrets=secrets)),
        "log:",
        f"  level: {config.log_level}    # {', '.join(LOG_LEVELS)}",
        "limits:",
        *(f"  {key}: {value}" for key, value in m._asdict().items()),
    ]
    if not security:
        lines.append(f"{NO_KEYS_YET}: hfzmq keys init --config THIS-FILE adds them here")
    elif config.keys is None:
        lines.append(f"security: {PLAIN}    # no keys, no encryption: only for addresses of this machine alone")
    else:
        lines += render_keys(config.keys)
    return "\n".join(lines) + "\n"


def heart_rate_fault(settings: HeartRate) -> tuple[str, str] | None:
    """Which setting breaks the order of the four, and how; None when none does."""
    for lower, upper in (("invalid_min", "valid_min"), ("valid_min", "valid_max"), ("valid_max", "invalid_max")):
        low, high = getattr(settings, lower), getattr(settings, upper)
        if not low < high:
            return lower, f"must be below {upper} ({high})"
    return None


# ------------------------------------------------------------ the parts of a file

_SECTIONS = ("timing", "limits", "tiers", "heart_rate", "alarms", "log", "security", "keys")
HEART_RATE_BOUNDS = {
    "valid_min": (1, 300),
    "valid_max": (1, 300),
    "future_ms": (0, 3_600_000),
    "invalid_min": (1, 300),
    "invalid_max": (1, 300),
    "patients": (1, 10_000),
}
HEART_RATE_ORDER = "invalid_min < valid_min < valid_max < invalid_max, in beats a minute"
_TIMING_BOUNDS = {
    "lease_ms": (150, 60_000),
    "heartbeat_ms": (10, 10_000),
    "handover_settle_ms": (0, 3_600_000),
}
_LIMIT_BOUNDS = {
    "client_message_bytes_max": (8192, 64 << 20),  # the longest row fits, with 1,000 characters of four bytes
    "peer_message_bytes_max": (4 << 20, 256 << 20),  # 10,000 facts in an entry, a thousand hints, a snapshot's piece
    "uncommitted_bytes_max": (65_536, 1 << 30),
    "inflight_appends_max": (1, 4096),
    "inflight_bytes_max": (65_536, 1 << 30),
    "append_bytes_max": (4096, 64 << 20),
    "batch_rows_max": (1, 10_000),
    "log_entries_keep": (10, 10_000_000),
    "log_bytes_keep": (65_536, 1 << 34),
}
RULE_ITEMS_MAX = 10_000
_WHICH = "name the mesh's file: --config FILE"
_APART = "each peer has its own id, and its own three ports on its host"


def _quoted(text: str) -> str:
    # JSON's strings are YAML's double-quoted ones; plain where nothing could be mistaken for YAML's own signs.
    return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) else json.dumps(text, ensure_ascii=False)


def _alarms(reader: YamlReader, node: yaml.Node | None) -> tuple[tuple[RuleSetting, ...], tuple[Channel, ...]]:
    fields = reader.mapping(node, "alarms", optional=("rules", "channels")) if node else {}
    rules: list[RuleSetting] = []
    given = fields.get("rules")
    if given is not None:
        if not isinstance(given, yaml.MappingNode):
            reader.fail(given, "alarms.rules", "a mapping of rules", hint="such as red_on: 0.6")
        for name_node, value in given.value:
            name = reader.text(name_node, "alarms.rules", 1, 40)
            if any(rule.name == name for rule in rules):
                reader.fail(name_node, f"alarms.rules.{name}", "given twice", hint="keep one of them")
            setting = reader.plain(value, f"alarms.rules.{name}", RULE_ITEMS_MAX)
            rules.append(RuleSetting(name, setting, line_of(name_node)))
    return tuple(rules), parse_channels(reader, fields.get("channels"))


def _peers(reader: YamlReader, node: yaml.Node) -> tuple[PeerAddress, ...]:
    peers: list[PeerAddress] = []
    lines: dict[int, int] = {}
    owners: dict[tuple[str, int], str] = {}
    owner_lines: dict[tuple[str, int], int] = {}
    for number, item in enumerate(reader.sequence(node, "peers", 1, PEERS_MAX)):
        key = f"peers[{number}]"
        fields = reader.mapping(item, key, required=PeerAddress._fields)
        peer_id = reader.integer(fields["id"], f"{key}.id", 1, PEER_ID_MAX)
        if peer_id in lines:
            cause = f"id {peer_id} is already taken in line {lines[peer_id]}"
            reader.fail(fields["id"], f"{key}.id", cause, hint=_APART)
        lines[peer_id] = line_of(fields["id"])
        host = reader.host(fields["host"], f"{key}.host")
        machine = {"localhost": "127.0.0.1"}.get(host.lower(), host.lower())
        ports = {name: reader.integer(fields[name], f"{key}.{name}", 1, 65_535) for name in PeerAddress._fields[2:]}
        for name, port in ports.items():
            owner = owners.setdefault((machine, port), f"{key}.{name}")
            if owner != f"{key}.{name}":
                line = owner_lines[machine, port]
                cause = f"{host}:{port} is already taken by {owner} in line {line}"
                reader.fail(fields[name], f"{key}.{name}", cause, hint=_APART)
            owner_lines[machine, port] = line_of(fields[name])
        peers.append(PeerAddress(peer_id, host, **ports))
    return tuple(sorted(peers))


def _thresholds(reader: YamlReader, node: yaml.Node | None) -> Thresholds:
    if node is None:
        return Thresholds()
    fields = reader.mapping(node, "tiers", optional=Thresholds._fields)
    thresholds = Thresholds(**{name: reader.fraction(value, f"tiers.{name}") for name, value in fields.items()})
    amber_from, red_from = thresholds
    if not amber_from < red_from:
        name, other = ("amber_from", red_from) if "amber_from" in fields else ("red_from", amber_from)
        side = "below red_from" if name == "amber_from" else "above amber_from"
        reader.fail(
            child(node, name),
            f"tiers.{name}",
            f"must be {side} ({other:g})",
            got=getattr(thresholds, name),
            hint="set both: amber_from and red_from",
        )
    return thresholds


def _check_relations(reader: YamlReader, top: dict[str, yaml.Node], timing: Timing, limits: Limits) -> None:
    if timing.heartbeat_ms * 5 > timing.lease_ms:
        reader.fail(
            child(top.get("timing"), "heartbeat_ms", "lease_ms"),
            "timing.heartbeat_ms",
            f"at most a fifth of lease_ms ({timing.lease_ms // 5})",
            got=timing.heartbeat_ms,
            hint="a lease must survive a few lost heartbeats: make it longer, or these more frequent",
        )
    # An entry holds one client message and some framing; an append holds at least one entry.
    for name in ("client_message_bytes_max", "append_bytes_max"):
        if getattr(limits, name) * 2 > limits.peer_message_bytes_max:
            node = child(top.get("limits"), "peer_message_bytes_max", name)
            least = 2 * getattr(limits, name)
            reader.fail(
                node,
                "limits.peer_message_bytes_max",
                f"at least twice {name}",
                hint=f"{least} or more, or a smaller {name}: peers pass on what clients send",
            )
