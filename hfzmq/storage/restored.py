"""A restored peer's note beside its file: it may not take part before all first peers of the new mesh were seen.

Touches the disk. Must not know: sockets. Why there is a note: the incarnations of a restored mesh follow from the
backup and the new mesh's id, so that all first peers agree without having talked. Whoever restores a peer a second time
(its disk died, the backup was at hand) would thereby give it back the name under which it had promised things that the
backup knows nothing of. So a peer with a note hears what the others have before it says anything (daemon/muster.py).

Keeps: the note is on the disk before the file has its name, and goes, synced, before the peer first takes part.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from hfzmq.config import Config
from hfzmq.core.types import CHAIN_BYTES, Place
from hfzmq.errors import DataDirError
from hfzmq.storage import directory
from hfzmq.storage.identity import INCARNATION_BYTES
from hfzmq.storage.tables import HASH_BYTES


class Note(NamedTuple):
    """What was restored: where the backup ends, its state's hash, and the first peers with their incarnations."""

    place: Place
    state_hash: bytes
    incarnations: dict[int, bytes]


def incarnation_of(digest: bytes, config: Config, peer_id: int) -> bytes:
    """The first life of a peer in the mesh of ``config`` that is founded on the backup with this SHA-256, 16 bytes."""
    text = digest + config.bootstrap_hash() + config.mesh_id + peer_id.to_bytes(8, "big")
    return hashlib.blake2b(text, digest_size=INCARNATION_BYTES, person=b"hfzmq restored").digest()


def incarnations(digest: bytes, config: Config) -> dict[int, bytes]:
    """Of all first peers."""
    return {peer_id: incarnation_of(digest, config, peer_id) for peer_id in config.peer_ids}


def note_path(path: Path) -> Path:
    """Where the note of the database at ``path`` lies."""
    return path.with_suffix(".restored")


def read_note(path: Path) -> Note | None:
    """The note of the database at ``path``; None where there is none. DataDirError when it cannot be read."""
    try:
        told = json.loads(note_path(path).read_bytes())
        index, term, chain = told["place"]
        lives = {int(peer): _binary(life, INCARNATION_BYTES) for peer, life in told["incarnations"].items()}
        return Note(
            Place(int(index), int(term), _binary(chain, CHAIN_BYTES)), _binary(told["state"], HASH_BYTES), lives
        )
    except (FileNotFoundError, NotADirectoryError):  # the latter is told by whoever makes the directory
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataDirError(
            f"{note_path(path)}: cannot be read: {error}",
            hint="restore this peer again into an empty --data-dir, or start it empty, with --join",
        ) from None


def write_note(path: Path, note: Note) -> None:
    """Beside the database at ``path``, synced. OSError."""
    told = {
        "place": [note.place.index, note.place.term, note.place.chain.hex()],
        "state": note.state_hash.hex(),
        "incarnations": {str(peer): life.hex() for peer, life in note.incarnations.items()},
    }
    descriptor = os.open(note_path(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, directory.FILE_MODE)
    try:
        os.write(descriptor, json.dumps(told).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    directory.sync(path.parent)


def drop_note(path: Path) -> None:
    """The peer takes part from now on; synced. OSError."""
    note_path(path).unlink(missing_ok=True)
    directory.sync(path.parent)


def _binary(text: str, length: int) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != length:
        raise ValueError(f"{length} bytes are expected")
    return data


def others(note: Note, me: int) -> list[int]:
    """The first peers but this one."""
    return [peer for peer in sorted(note.incarnations) if peer != me]
