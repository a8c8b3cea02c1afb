"""Mistakes at the start of a daemon, and while it runs."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import socket
import subprocess
from pathlib import Path

import apsw

from tests.mistakes.bench import Bench, Made, few_files, rights_stay, small_files, without_rights
from tests.mistakes.chapter import Chapter

CHAPTER = Chapter("hfzmq serve")
mistake = CHAPTER.mistake
PEER_1 = ("serve", "--id", 1, "--data-dir", "data")
ROUNDS_MAX = 60
OPENING_BYTES = 16_384  # less than a new file needs


def listening(port: int) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    held.listen()
    return held


def small_disk(size: str) -> tuple[str, ...]:
    """For ``Bench.process``: the folder ``data`` is a disk of this size, for this process alone."""
    script = f'mount -t tmpfs -o size={size} small data && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh")


@functools.cache
def own_disk() -> str:
    """Why this machine cannot make one."""
    if os.getuid() != 0 or not shutil.which("unshare"):
        return "needs root and unshare"
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "small", "/mnt"]
    return "no mounts here" * (subprocess.run(trial, capture_output=True, check=False).returncode != 0)


def changed(path: Path, statement: str) -> None:
    database = apsw.Connection(str(path))
    database.execute(statement)
    database.close()


@mistake("an id that is not in peers.yaml", 6, "peers.yaml", "7")
def unknown_id(at: Bench) -> Made:
    return at.process("serve", "--id", 7, "--data-dir", "data")


@mistake("no id", 2, "--id")
def no_id(at: Bench) -> Made:
    return at.process("serve", "--data-dir", "data")


@mistake("no data directory", 2, "--data-dir")
def no_directory(at: Bench) -> Made:
    return at.process("serve", "--id", 1)


@mistake("the clients' port is in use", 1, "127.0.0.1:7100", "client_port", "peer 1")
def client_port(at: Bench) -> Made:
    with listening(at.config.peers[0].client_port):
        return at.process(*PEER_1)


@mistake("the peers' port is in use", 1, "127.0.0.1:7101", "peer_port", "peer 1")
def peer_port(at: Bench) -> Made:
    with listening(at.config.peers[0].peer_port):
        return at.process(*PEER_1)


@mistake("the port for health checks is in use", 1, "127.0.0.1:7112")
def http_port(at: Bench) -> Made:
    port = at.config.peers[1].beat_port
    with listening(port):
        return at.process(*PEER_1, "--http", f"127.0.0.1:{port}")


@mistake("a port of the peer's own for health checks", 1, "127.0.0.1:7100", "client_port")
def own_http_port(at: Bench) -> Made:
    return at.process(*PEER_1, "--http", f"127.0.0.1:{at.config.peers[0].client_port}")


@mistake("the host of another machine", 1, "192.0.2.1:7100")
def other_machine(at: Bench) -> Made:
    at.edit("id: 1, host: 127.0.0.1", "id: 1, host: 192.0.2.1")
    return at.process(*PEER_1)


@mistake("a host name that nobody knows", 1, "no-such-host.invalid:7100")
def unknown_host(at: Bench) -> Made:
    at.edit("id: 1, host: 127.0.0.1", "id: 1, host: no-such-host.invalid")
    return at.process(*PEER_1)


@mistake("the peer runs already", 1, "data", "pid PID")
def runs_already(at: Bench) -> Made:
    at.serve(*PEER_1[1:])
    return at.process(*PEER_1)


@mistake("the data directory of another mesh", 1, "data/hfzmq_1.db", "MESH_ID")
def other_mesh(at: Bench) -> Made:
    at.store(1)
    at.edit("id: [0-9a-f]{32}", f"id: {os.urandom(16).hex()}")
    return at.process(*PEER_1)


@mistake("another peer's file under this one's name", 1, "data/hfzmq_1.db", "peer 2")
def other_peer(at: Bench) -> Made:
    theirs = at.store(2)
    for path in theirs.parent.glob("hfzmq_2.*"):
        path.rename(path.with_name(path.name.replace("_2.", "_1.")))
    return at.process(*PEER_1)


@mistake("more first peers than the mesh was founded with", 1, "data/hfzmq_1.db", "peers 1, 2, 3")
def other_founders(at: Bench) -> Made:
    at.store(1)
    at.file.write_text(at.file.read_text().replace("\ntiming:", NINTH + "\ntiming:"))
    return at.process(*PEER_1)


NINTH = "\n  - {id: 9, host: 10.0.0.9, client_port: 7100, peer_port: 7101, beat_port: 7102}"


@mistake("a file where the data directory belongs", 1, "data", "not a directory")
def no_folder(at: Bench) -> Made:
    at.write("data", "")
    return at.process(*PEER_1)


@mistake("a data directory that this user may not write to", 1, "data", skip=rights_stay)
def unwritable(at: Bench) -> Made:
    (at.folder / "data").mkdir(mode=0o500)
    return at.process(*PEER_1, within=without_rights())


@mistake("another program's database under the peer's name", 1, "data/hfzmq_1.db")
def other_program(at: Bench) -> Made:
    (at.folder / "data").mkdir()
    changed(at.folder / "data" / "hfzmq_1.db", "create table patients (name)")
    return at.process(*PEER_1)


@mistake("no database at all under the peer's name", 1, "data/hfzmq_1.db")
def no_database(at: Bench) -> Made:
    (at.folder / "data").mkdir()
    at.write("data/hfzmq_1.db", "patient,age\n" * 100)
    return at.process(*PEER_1)


@mistake("files of an older version", 1, "data/hfzmq_1.db", "older", "schema 4")
def older(at: Bench) -> Made:
    changed(at.store(1), "update meta set schema_version = 4")
    return at.process(*PEER_1)


@mistake("files of a newer version", 1, "data/hfzmq_1.db", "newer", "schema 9")
def newer(at: Bench) -> Made:
    changed(at.store(1), "update meta set schema_version = 9")
    return at.process(*PEER_1)


@mistake("a disk without room for a new file", 1, "data/hfzmq_1.db", "no space", skip=own_disk)
def no_space(at: Bench) -> Made:
    (at.folder / "data").mkdir()
    return at.process(*PEER_1, within=small_disk("64k"))


@mistake("a limit for files that is too low", 1, "data/hfzmq_1.db")
def no_growth(at: Bench) -> Made:
    return at.process(*PEER_1, before=small_files(OPENING_BYTES))


@mistake("too few descriptors", 1, "100", "384")
def descriptors(at: Bench) -> Made:
    return at.process(*PEER_1, before=few_files(100))


@mistake("the database is deleted while the peer runs", 1, "data/hfzmq_1.db", "deleted")
def deleted(at: Bench) -> Made:
    daemon = at.serve(*PEER_1[1:], "--http", f"127.0.0.1:{at.config.peers[0].beat_port + 1}")
    (at.folder / "data" / "hfzmq_1.db").unlink()
    return at.ended(daemon, *PEER_1[1:])


def alone(at: Bench) -> None:
    """A mesh of this one peer."""
    lines = at.file.read_text().splitlines()
    at.file.write_text("\n".join(line for line in lines if not line.startswith(("  - {id: 2", "  - {id: 3"))))


def reported_until_it_ends(at: Bench, daemon: subprocess.Popen[str]) -> Made:
    """More and more is reported, until the daemon has no place for it."""
    for _ in range(ROUNDS_MAX):
        if daemon.poll() is not None:
            break
        at.hfzmq("client", "--headless", "--count", 400, "--interval", 0, "--duration", 1, "--queue", "queue")
    return at.ended(daemon, *PEER_1[1:])


@mistake("the disk gets full while the peer runs", 1, "data/hfzmq_1.db", "no space", skip=own_disk)
def full(at: Bench) -> Made:
    alone(at)
    (at.folder / "data").mkdir()
    daemon = at.serve(*PEER_1[1:], within=small_disk("700k"))
    return reported_until_it_ends(at, daemon)


@mistake("a file may not grow any more while the peer runs", 1, "data/hfzmq_1.db", "cannot write")
def limited(at: Bench) -> Made:
    alone(at)
    daemon = at.serve(*PEER_1[1:])
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (OPENING_BYTES, OPENING_BYTES))
    return reported_until_it_ends(at, daemon)


@mistake("an address for health checks that is none", 2, "--http", "everywhere:x")
def http(at: Bench) -> Made:
    return at.process(*PEER_1, "--http", "everywhere:x")


@mistake("a wrong value in the environment", 6, "LOG_LEVEL", "verbose")
def environment(at: Bench) -> Made:
    at.environment["LOG_LEVEL"] = "verbose"
    return at.process(*PEER_1)
