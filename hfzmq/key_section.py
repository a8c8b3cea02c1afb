"""The section ``keys`` of peers.yaml: public keys of peers, admins and clients, and the ones that are revoked.

    keys:
      peers: {1: "Z85", 2: "Z85"}    admins: {NAME: "Z85"}    clients: {NAME: "Z85"}    revoked: ["Z85"]

Touches nothing: YAML nodes come in, lines go out. Must not know: secret files, sockets. Keeps: a Keys that exists holds
public keys only (the process's own pair, ``own``, is never rendered and never shown); each key and each name once.
"""

from __future__ import annotations

import ipaddress
import json
from typing import NamedTuple

import yaml

from hfzmq.access import (
    ADMIN,
    CLIENT,
    FILE,
    KEY_RULE,
    NAME_RULE,
    PEER,
    AccessList,
    Listed,
    is_key,
    is_name,
    name_of_peer,
)
from hfzmq.settings import PEER_ID_MAX
from hfzmq.yaml_reader import YamlReader

PLAIN = "plain"
KEYS_MAX = 10_000
NO_KEYS_YET = "# no keys yet, and no peer starts without"
SECTIONS = ("peers", "admins", "clients", "revoked")
NEITHER_HINT = (
    "make keys: hfzmq keys init --config {path}; or, to try things out on this machine alone, the line: security: plain"
)
_PLAIN_HINT = "over a network keys are needed: take the line out, then hfzmq keys init --config {path}"


class OwnKey:
    """The pair of keys that this process speaks with. ``path``: the file that it is from, '' for none; ``role``: what
    for it was made, as that file says, '' where it does not (only the mesh and peers.yaml say what a key may do)."""

    __slots__ = ("path", "public", "role", "secret")

    def __init__(self, public: str, secret: str, path: str = "", role: str = "") -> None:
        self.public, self.secret, self.path, self.role = public, secret, path, role

    def __repr__(self) -> str:  # a secret is never told, whoever prints a configuration
        return f"OwnKey({self.public!r}, path={self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnKey) and (self.public, self.secret) == (other.public, other.secret)

    def __hash__(self) -> int:
        return hash(self.public)


class Keys(NamedTuple):
    """Public keys by peer id or name, as peers.yaml lists them, and this process's ``own`` pair once it is known.
    ``former``: what a peer was listed with before ``knowing``: it serves with that until it is started with the new
    secret."""

    peers: tuple[tuple[int, str], ...] = ()
    admins: tuple[tuple[str, str], ...] = ()
    clients: tuple[tuple[str, str], ...] = ()
    revoked: tuple[str, ...] = ()
    own: OwnKey | None = None
    former: tuple[tuple[int, str], ...] = ()

    def listed(self) -> list[Listed]:
        """Everybody in it."""
        return [
            *(Listed(key, PEER, name_of_peer(peer), peer, FILE) for peer, key in self.peers),
            *(Listed(key, ADMIN, name, 0, FILE) for name, key in self.admins),
            *(Listed(key, CLIENT, name, 0, FILE) for name, key in self.clients),
        ]

    def access(self) -> AccessList:
        """Who is in force by the file alone."""
        return AccessList(self.listed(), self.revoked)

    def key_of(self, peer: int) -> str | None:
        """The key that ``peer`` serves with, as far as this knows."""
        return self.access().key_of(peer)

    def keys_of(self, peer: int) -> tuple[str, ...]:
        """The keys that ``peer`` may serve with, the one that is expected first."""
        expected = self.key_of(peer)
        before = (key for one, key in reversed(self.former) if one == peer and key not in self.revoked)
        return tuple(dict.fromkeys([*([expected] if expected else []), *before]))

    def knowing(self, peers: dict[int, str]) -> Keys:
        """With the keys of these peers in the place of what was known of them, which is ``former`` then."""
        known = dict(self.peers)
        gone = [(peer, known[peer]) for peer, key in sorted(peers.items()) if known.get(peer, key) != key]
        former = (*self.former, *(one for one in gone if one not in self.former))
        return self._replace(peers=tuple(sorted({**known, **peers}.items())), former=former)


def parse_security(
    reader: YamlReader,
    security: yaml.Node | None,
    keys: yaml.Node | None,
    hosts: dict[str, yaml.Node],
    neither_is_fine: bool,
) -> Keys | None:
    """What the file's ``security`` and ``keys`` say; None for plain. ``hosts``: the node of each host in the file. A
    file with neither is refused unless ``neither_is_fine`` (then None)."""
    if security is not None:
        reader.choice(security, "security", (PLAIN,))
        if keys is not None:
            reader.fail(security, "security", "plain, and yet there are keys", hint="take this line out")
        for host, node in hosts.items():
            if not is_loopback(host):
                cause = f"plain, and {host} (line {node.start_mark.line + 1}) is not an address of this machine alone"
                reader.fail(security, "security", cause, hint=_PLAIN_HINT.format(path=reader.path or "peers.yaml"))
        return None
    if keys is None:
        if not neither_is_fine:
            hint = NEITHER_HINT.format(path=reader.path or "peers.yaml")
            reader.fail(None, "keys", "missing: nobody could tell who speaks to whom", hint=hint)
        return None
    fields = reader.mapping(keys, "keys", required=("peers",), optional=SECTIONS[1:])
    seen: dict[str, str] = {}
    names: set[str] = set()
    peers: dict[int, str] = {}
    for at, node in _items(reader, fields, "peers"):
        peer = reader.integer(at, "keys.peers", 1, PEER_ID_MAX)
        if peer in peers:
            reader.fail(at, f"keys.peers.{peer}", "given twice", hint="keep one of them")
        peers[peer] = _key(reader, node, f"keys.peers.{peer}", seen)
    named: dict[str, list[tuple[str, str]]] = {"admins": [], "clients": []}
    for section, found in named.items():
        for at, node in _items(reader, fields, section):
            name = str(at.value)
            if not is_name(name):
                reader.fail(at, f"keys.{section}", NAME_RULE, hint="such as ward-3")
            if name in names:
                reader.fail(
                    at, f"keys.{section}.{name}", "given twice", hint="each name once, among admins and clients"
                )
            names.add(name)
            found.append((name, _key(reader, node, f"keys.{section}.{name}", seen)))
    revoked = []
    if "revoked" in fields:
        for number, node in enumerate(reader.sequence(fields["revoked"], "keys.revoked", 0, KEYS_MAX)):
            revoked.append(_key(reader, node, f"keys.revoked[{number}]", {}))
    return Keys(tuple(sorted(peers.items())), tuple(named["admins"]), tuple(named["clients"]), tuple(revoked))


def render_keys(keys: Keys) -> list[str]:
    """The lines of the section, in the form that ``key_edit`` adds to."""
    lines = ["keys:    # public keys only; the secret ones lie in files of their own (docs/operations/keys.md)"]
    for section, words, found in (
        ("peers", "serve with them", [(str(peer), key) for peer, key in keys.peers]),
        ("admins", "may do everything", list(keys.admins)),
        ("clients", "may submit and read", list(keys.clients)),
    ):
        lines.append(f"  {section}:    # {words}" if found else f"  {section}: {{}}    # {words}")
        lines += [f"    {quoted_name(name)}: {json.dumps(key)}" for name, key in found]
    lines.append("  revoked:    # out, for ever" if keys.revoked else "  revoked: []    # out, for ever")
    lines += [f"    - {json.dumps(key)}" for key in keys.revoked]
    return lines


def quoted_name(name: str) -> str:
    """As a key of YAML: plain where it cannot be taken for a number or a word of YAML's own."""
    return name if name.isdigit() or (name[0].isalpha() and name.lower() not in _WORDS) else json.dumps(name)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and cannot be another one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def _items(reader: YamlReader, fields: dict[str, yaml.Node], section: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    node = fields.get(section)
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode) or len(node.value) > KEYS_MAX:
        reader.fail(node, f"keys.{section}", f"a mapping of at most {KEYS_MAX} keys", hint='such as {ward: "..."}')
    for at, _ in node.value:
        reader.scalar(at, f"keys.{section}", "an id or a name")
    return list(node.value)


def _key(reader: YamlReader, node: yaml.Node, where: str, seen: dict[str, str]) -> str:
    text = reader.scalar(node, where, KEY_RULE)
    if not is_key(text):
        hint = f"copy all of it, this has {len(text)}; which there are: hfzmq keys show -o json, where it is in force"
        reader.fail(node, where, KEY_RULE, hint=hint)
    owner = seen.setdefault(text, where)
    if owner != where:
        reader.fail(node, where, f"the key of {owner} once more", hint="each key belongs to one only: hfzmq keys issue")
    return text
