"""``--http HOST[:PORT]``: what is one, and the port where none is given."""

from __future__ import annotations

from typing import Any

import click
import pytest

from hfzmq.cli.http_address import read_address, resolved
from hfzmq.config import Config, PeerAddress
from hfzmq.errors import HfzmqError

OPTION = click.Option(["--http"])


def read(text: str | None) -> Any:
    return read_address(click.Context(click.Command("serve")), OPTION, text)


def mesh(*ports: int) -> Config:
    peers = tuple(PeerAddress(n + 1, "127.0.0.1", port, port + 1, port + 2) for n, port in enumerate(ports))
    return Config("ward", bytes(16), peers)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", None)),
        ("127.0.0.1:9100", ("127.0.0.1", 9100)),
        ("[::1]:0", ("::1", 0)),
        ("[::1]", ("::1", None)),
        (" ward-1:65535 ", ("ward-1", 65_535)),
        (None, None),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(text: str | None, address: Any) -> None:
    assert read(text) == address


@pytest.mark.parametrize(
    "text", ["", ":9100", "::1", "a b", "host:", "host:65536", "host:-1", "host:1:2", "http://x", "h:٣"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        read(text)


def test_without_a_port_it_is_the_client_port_and_three() -> None:
    assert resolved(("127.0.0.1", None), mesh(7100, 7110), 2) == ("127.0.0.1", 7113)
    assert resolved(("127.0.0.1", 9), mesh(7100, 7110), 2) == ("127.0.0.1", 9)


@pytest.mark.parametrize("config", [mesh(7100, 7103), mesh(65_533)])
def test_a_port_that_is_another_peers_or_none_is_refused_with_the_next_step(config: Config) -> None:
    for host, named in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        with pytest.raises(HfzmqError) as told:
            resolved((host, None), config, 1)
        assert f"--http {named}:PORT" in told.value.hint
