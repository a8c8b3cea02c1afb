"""``hfzmq config``: write a peers.yaml, check one, show what is in force.

Touches one file and stdout. Keeps: what ``config init`` writes has been read back and checked before it is shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import click

from hfzmq.access import ADMIN, CLIENT, name_of_peer
from hfzmq.alarm_channels import Channel, missing_programs, unknown_urls
from hfzmq.cli.format import counted, json_text
from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.options import NO_KEY, config_only_option, load_config, output_option
from hfzmq.clinical.alarm.reach import doubts
from hfzmq.clinical.alarm.rules import to_mapping
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import PEERS_MAX, Config, PeerAddress, RuleSetting, parse, render
from hfzmq.errors import ConfigError
from hfzmq.yaml_reader import HOST_HINT, is_host

PORTS_APART = 10  # between peers on one host: room for what a later version listens on
DEFAULT_PEERS = 3
DEFAULT_BASE_PORT = 7100


def _check_hosts(ctx: click.Context, option: click.Parameter, hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not is_host(host):
            raise click.BadParameter(f"{host!r} is no IPv4 address or host name ({HOST_HINT}).", ctx, option)
    return hosts


@click.group(cls=HelpGroup)
def config() -> None:
    """Write, check and show a peers.yaml."""


@config.command()
@click.option("--peers", type=click.IntRange(1, PEERS_MAX), metavar="N", help="How many.  [default: 3]")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="H",
    callback=_check_hosts,
    help="For all peers; or once for each.  [default: 127.0.0.1]",
)
@click.option("--base-port", type=click.IntRange(1, 65_535), default=DEFAULT_BASE_PORT, show_default=True, metavar="P")
@click.option("--name", default="ward", show_default=True, metavar="NAME", help="What people call the mesh.")
@click.option("--plain", is_flag=True, help="No keys, no encryption: for addresses of this machine alone.")
def init(peers: int | None, hosts: tuple[str, ...], base_port: int, name: str, plain: bool) -> None:
    """Write a peers.yaml with a new mesh id to stdout; hfzmq keys init then adds its keys.

    \b
    hfzmq config init > peers.yaml && hfzmq keys init
    hfzmq config init --host 10.0.0.1 --host 10.0.0.2 --host 10.0.0.3 > peers.yaml && hfzmq keys init
    """
    count = peers or max(len(hosts), 1 if len(hosts) > 1 else DEFAULT_PEERS)
    if len(hosts) not in (0, 1, count):
        raise click.UsageError(f"{len(hosts)} hosts for {counted(count, 'peer')}: give one host, or one for each peer")
    _check_base_port(count, hosts, base_port)
    made = lay_out(name, hosts * count if len(hosts) == 1 else hosts or ("127.0.0.1",) * count, base_port)
    try:
        text = render(made, security=plain)
        parse(text, "", unkeyed_is_fine=True)
    except ConfigError as error:
        raise click.UsageError(f"{error.field}: {error.bound}") from None
    click.echo(text, nl=False)


def _check_base_port(count: int, hosts: tuple[str, ...], base_port: int) -> None:
    on_one_host = max(map(hosts.count, hosts)) if len(hosts) > 1 else count
    most = 65_535 - PORTS_APART * (on_one_host - 1) - 2
    if base_port > most:
        many = counted(on_one_host, "peer")
        raise click.UsageError(f"--base-port: at most {most} for {many} on one host, got {base_port}")


def lay_out(name: str, hosts: tuple[str, ...], base_port: int) -> Config:
    """A new mesh: one peer for each of ``hosts``; peers of one host get ports ``PORTS_APART`` apart."""
    addresses = []
    for i, host in enumerate(hosts):
        port = base_port + PORTS_APART * hosts[:i].count(host)
        addresses.append(PeerAddress(i + 1, host, port, port + 1, port + 2))
    return Config(name, secrets.token_bytes(16), tuple(addresses))


@config.command()
@config_only_option
def check(config_path: str) -> None:
    """Check a peers.yaml; say file, line, key and cause of what is wrong (exit 6).

    What may be meant, and what another machine may have (the program of a channel), is a warning, and no error.
    """
    found = load_config(config_path, key=NO_KEY)
    rules = rules_of(found)
    _check_channels(found)
    count = len(found.peers)
    ids = ", ".join(map(str, found.peer_ids))
    spare = (count - 1) // 2
    click.echo(
        f"{config_path}: ok: mesh {found.mesh_name}, {counted(count, 'peer')} ({ids}), "
        f"quorum {count // 2 + 1}, works on while {spare} {'is' if spare == 1 else 'are'} away; {_security(found)}"
    )
    for doubt in doubts(found, rules):
        click.echo(f"warning: {doubt.field}: {doubt.bound}\nhint: {doubt.hint}", err=True)
    for name, program in missing_programs(found.channels):
        click.echo(
            f"warning: alarms.channels: {name}: {program}: no such program on this machine\n"
            "hint: it is to be on each machine that runs hfzmq serve, for any of them may come to lead",
            err=True,
        )
    for line in _about_keys(found):
        click.echo(line, err=True)
    if count % 2 == 0:
        click.echo(f"note: {count} peers bear no more failures than {count - 1}", err=True)


@config.command()
@config_only_option
@output_option("yaml", "json")
def show(config_path: str, output: str) -> None:
    """Show what is in force, defaults included; of the channels of alarms not what is secret."""
    found = load_config(config_path, key=NO_KEY)
    rules = to_mapping(rules_of(found))
    if any(channel.argv or channel.url for channel in found.channels):
        click.echo("note: the channels' secrets are left out: this is not a file to serve from", err=True)
    if output == "yaml":
        told = tuple(RuleSetting(name, value, 0) for name, value in rules.items())
        click.echo(render(found._replace(alarm_rules=told), secrets=False), nl=False)
        return
    value: dict[str, object] = {
        "mesh": {"name": found.mesh_name, "id": found.mesh_id.hex()},
        "peers": [peer._asdict() for peer in found.peers],
        "timing": found.timing._asdict(),
        "tiers": found.thresholds._asdict(),
        "heart_rate": found.heart_rate._asdict(),
        "alarms": {"rules": rules, "channels": list(map(_without_secrets, found.channels))},
        "log": {"level": found.log_level},
        "limits": found.limits._asdict(),
        "security": "plain" if found.keys is None else "keys",
    }
    if found.keys is not None:
        value["keys"] = {
            "peers": {str(peer): key for peer, key in found.keys.peers},
            "admins": dict(found.keys.admins),
            "clients": dict(found.keys.clients),
            "revoked": list(found.keys.revoked),
        }
    click.echo(json_text(value))


def _security(found: Config) -> str:
    if found.keys is None:
        return "plain: no keys, for this machine alone"
    keys = [peer for peer in found.peer_ids if found.keys.key_of(peer) is not None]
    many = "all peers" if len(keys) == len(found.peers) else f"{len(keys)} of {counted(len(found.peers), 'peer')}"
    roles = [one.role for one in found.keys.listed() if one.key not in found.keys.revoked]
    admins, clients = counted(roles.count(ADMIN), "admin"), counted(roles.count(CLIENT), "client")
    return f"keys for {many}, {admins}, {clients}"


def _about_keys(found: Config) -> Iterator[str]:
    """What its list of keys lacks, by the file alone: others may have been issued through the mesh."""
    if found.keys is None:
        return
    listed = dict(found.keys.peers)
    for peer in found.peer_ids:
        issue = f"hfzmq keys issue {name_of_peer(peer)}-new --role peer --id {peer}"
        if found.keys.key_of(peer) is None and peer in listed:
            yield f"warning: keys.peers.{peer}: this key is revoked: peer {peer} does not start with it"
            yield f"hint: unless it has a new one by now (hfzmq keys show): {issue}; add --offline where no mesh runs"
        elif found.keys.key_of(peer) is None:
            yield f"warning: keys.peers: no key for peer {peer} in this file"
            yield (
                "hint: none is needed if one was issued through the mesh (hfzmq keys show); else: "
                f"hfzmq keys issue {name_of_peer(peer)} --role peer --id {peer}"
            )
    if not any(one.role == ADMIN and one.key not in found.keys.revoked for one in found.keys.listed()):
        yield (
            "note: no admin's key in this file: for a client that is enough; where hfzmq serve runs nobody may change "
            "members or keys, unless one was issued through the mesh: hfzmq keys issue admin-2 --role admin --offline"
        )


def _check_channels(found: Config) -> None:
    """ConfigError for a URL that Apprise cannot use; HfzmqError where a channel needs Apprise and it is not there."""
    if not any(channel.url for channel in found.channels):
        return
    unknown = unknown_urls(found.channels)  # loads Apprise: half a second
    if unknown:
        key = f"alarms.channels: {', '.join(unknown)}"
        hint = "its scheme and what it needs: the documentation of Apprise"
        raise ConfigError(found.path, None, key, "a URL that Apprise does not know", hint=hint)


def _without_secrets(channel: Channel) -> dict[str, object]:
    shown: dict[str, object] = {"name": channel.name, "kind": channel.kind, "from_step": channel.from_step}
    if channel.argv:
        shown["argv"] = [channel.argv[0], *["..."] * (len(channel.argv) > 1)]
    if channel.url:
        shown["url"] = str(channel.url)
    if channel.argv or channel.url:
        shown |= {"timeout_ms": channel.timeout_ms, "retry_for_ms": channel.retry_for_ms}
    return shown
