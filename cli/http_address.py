"""``HOST[:PORT]`` for health and metrics: read, and its port found where none is given.

Touches the command line. Must not know what is answered there.
"""

from __future__ import annotations

import re

import click

from hfzmq.config import Config
from hfzmq.errors import HfzmqError
from hfzmq.yaml_reader import HOST_HINT, is_host

AFTER_CLIENT_PORT = 3  # 7100, 7101 and 7102 are the peer's own: 7103


def read_address(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[str, int | None] | None:
    """``127.0.0.1``, ``127.0.0.1:7103``, ``[::1]:7103``, ``ward-1``: (host, port or None); click's callback."""
    if value is None:
        return None
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?", value.strip(), re.ASCII)
    if not found:
        raise click.BadParameter(f"{value!r} is no HOST[:PORT], such as 127.0.0.1:7103 or [::1]:7103.", ctx, option)
    six, host, port = found.groups()
    if host and not is_host(host):
        raise click.BadParameter(f"{host!r} is no IPv4 address or host name ({HOST_HINT}).", ctx, option)
    if port is not None and int(port) > 65_535:
        raise click.BadParameter(f"{port} is no port: 0 (any free one) to 65535.", ctx, option)
    return six or host, None if port is None else int(port)


def resolved(address: tuple[str, int | None], config: Config, peer_id: int) -> tuple[str, int]:
    """Host and port for ``peer_id``; HfzmqError where the port that follows from its own is not free to take."""
    host, port = address
    if port is not None:
        return host, port
    here = config.peer(peer_id)
    port = here.client_port + AFTER_CLIENT_PORT
    takers = [one.id for one in config.peers if one.host == here.host and port in one[2:]]
    if takers or port > 65_535:
        place = f"[{host}]" if ":" in host else host
        why = f"is peer {takers[0]}'s" if takers else "is no port"
        raise HfzmqError(
            f"port {port} (the client port + {AFTER_CLIENT_PORT}) {why}: health and metrics need another",
            hint=f"name one: --http {place}:PORT, or HFZMQ_HTTP={place}:PORT",
        )
    return host, port
