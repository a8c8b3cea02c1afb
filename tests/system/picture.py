"""The README's picture: the board of a real mesh, just after its leader got kill -9 and another took over.

python -m tests.system.picture docs/images/dashboard.svg
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from hfzmq.cli.board_feed import BoardFeed, BoardStatus, now_ms
from hfzmq.cli.dashboard import picture
from hfzmq.cli.demo_run import PATIENT_SEED
from hfzmq.cli.processes import Processes, free_addresses, serve_arguments
from hfzmq.config import Config, load, render
from tests.system.mesh import wait_for

PATIENTS = 6
TREND_POINTS = 8  # of each bed, at least
AFTER_KILL_MS = 1500
POLL_S = 0.25


def board_after_kill(folder: Path) -> BoardStatus:
    """Peers and patients start, the leader is killed; what the board knows once the new one serves."""
    path = folder / "peers.yaml"
    path.write_text(render(Config("ward", os.urandom(16), free_addresses(3))))
    config = load(path)
    processes, feed = Processes(folder), BoardFeed(config, POLL_S)
    try:
        for peer_id in config.peer_ids:
            processes.start(f"peer-{peer_id}", *serve_arguments(config, peer_id, folder))
        feed.start()
        wait_for("a leader", lambda: feed.latest.mesh.serves)
        processes.start(
            "patients",
            *("client", "--patients", str(PATIENTS), "--config", config.path, "--headless", "-o", "jsonl"),
            *("--interval", "0.5", "--seed", PATIENT_SEED, "--queue", str(folder / "queue")),
        )
        wait_for(f"{TREND_POINTS} points of each bed", lambda: _has_trends(feed.latest), 60)
        leader = feed.latest.mesh.leader
        processes.kill(f"peer-{leader}")
        killed_ms = now_ms()
        wait_for("another leader", lambda: _led_by_another(feed.latest, leader, killed_ms))
        return feed.latest
    finally:
        feed.close()
        processes.kill_all()


def _has_trends(status: BoardStatus) -> bool:
    return len(status.beds) == PATIENTS and all(len(bed.trend) >= TREND_POINTS for bed in status.beds)


def _led_by_another(status: BoardStatus, killed: int | None, killed_ms: int) -> bool:
    other = status.mesh.serves and status.mesh.leader != killed
    return other and (status.polled_at_ms or 0) - killed_ms >= AFTER_KILL_MS


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Draw the board of a mesh whose leader has just died."""
    with tempfile.TemporaryDirectory() as folder:
        svg = picture(board_after_kill(Path(folder)))
    out.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
