"""This machine: open files, ports and who holds them.

Touches /proc, ports of this machine (bound for a moment and let go). Must not know: what a port is for.
"""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding
from hfzmq.config import Config, PeerAddress

FILES_LEAST, FILES_FEW = 384, 1024  # as in daemon/door.py: with fewer it does not start; with fewer it serves few
LISTENING = "0A"


def descriptors() -> Iterator[Finding]:
    """How many files a process may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = f"a process here may open {'any number of' if hard == resource.RLIM_INFINITY else hard} files"
    do = "LimitNOFILE=65536 in the unit: systemctl edit hfzmq@N; in a shell: ulimit -n 65536"
    if hard != resource.RLIM_INFINITY and hard < FILES_LEAST:
        yield Finding(CRITICAL, "descriptors", told, f"with fewer than {FILES_LEAST} a daemon does not start", do)
    elif hard != resource.RLIM_INFINITY and hard < FILES_FEW:
        yield Finding(WARNING, "descriptors", told, "each client takes one: few are served at once", do)
    else:
        yield Finding(OK, "descriptors", told)


def ports(config: Config, here: Iterable[int]) -> Iterator[Finding]:
    """The ports of the peers ``here`` (ids): free, or held by whom."""
    for peer_id in here:
        peer = config.peer(peer_id)
        free: list[str] = []
        taken: list[str] = []
        for name in ("client_port", "peer_port", "beat_port"):
            (free if is_free(peer.host, getattr(peer, name)) else taken).append(name)
        if len(free) == 3:
            yield Finding(OK, "ports", f"peer {peer_id}: its ports on {peer.host} are free: it does not run")
            continue
        holders = {name: holder(getattr(peer, name)) for name in taken}
        yield _held(peer, free, holders)


def _held(peer: PeerAddress, free: list[str], holders: dict[str, str]) -> Finding:
    held: dict[str, list[str]] = {}
    for name, by in holders.items():
        held.setdefault(by or "another user", []).append(str(getattr(peer, name)))
    who = "; ".join(f"{', '.join(numbers)} by {by}" for by, numbers in held.items())
    told = f"peer {peer.id} on {peer.host}: {who}"
    if not free and len(set(holders.values())) == 1 and "serve" in next(iter(holders.values()), "serve"):
        return Finding(OK, "ports", told)
    if not free and not any(holders.values()):
        return Finding(NOTE, "ports", told, "whoever holds them cannot be seen by this user", _who(peer, holders))
    return Finding(
        WARNING, "ports", told, "a peer needs its three ports to itself, or it does not start", _who(peer, holders)
    )


def _who(peer: PeerAddress, holders: dict[str, str]) -> str:
    first = getattr(peer, next(iter(holders)))
    return f"ss -ltnp 'sport = :{first}'; stop it, or give peer {peer.id} other ports in peers.yaml (on all machines)"


def is_free(host: str, port: int) -> bool:
    """Whether somebody could listen there now; also True where ``host`` is no address of this machine."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error.errno != errno.EADDRINUSE  # any other: not ours to judge
    return True


def is_here(host: str) -> bool:
    """Whether ``host`` is an address of this machine."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def holder(port: int) -> str:
    """``pid 123 (hfzmq serve --id 1 ...)`` of who listens on a port; '' when that cannot be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(table)[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(str(one.readlink()) in inodes for one in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                return f"pid {process.name} ({' '.join(word.decode(errors='replace') for word in words).strip()})"
        except OSError:  # it has ended, or is another user's
            continue
    return ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
