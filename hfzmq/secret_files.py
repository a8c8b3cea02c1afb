"""Secret keys as files, and which of them a process speaks with.

    --key FILE, else HFZMQ_KEY; else
      a daemon:            $CREDENTIALS_DIRECTORY/hfzmq.secret, else keys/peer-N.secret beside peers.yaml
      a bedside client:    keys/ward.secret, else keys/client.secret, else keys/admin.secret
      any other command:   keys/admin.secret, else keys/ward.secret, else keys/client.secret, else, on a peer's
                           machine, keys/peer-N.secret (which may read)

Touches files of keys, peers.yaml when it is replaced, random numbers. Must not know: what a key may do. Keeps: a secret
file is never overwritten, is whole and synced when its name appears, and is readable for its owner only: one that
others can read is refused (KeysError), as is one whose public key does not belong to its secret.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hfzmq.access import is_key
from hfzmq.config import Config
from hfzmq.errors import KeysError
from hfzmq.key_section import OwnKey
from hfzmq.plain_file import NoPlainFile, open_plain

PEER_KEY, BEDSIDE_KEY, COMMAND_KEY = "peer", "bedside", "command"  # what a process is that looks for its key

DIRECTORY = "keys"
SUFFIX = ".secret"
ADMIN_NAME, WARD_NAME, CLIENT_NAME = "admin", "ward", "client"
VARIABLE, CREDENTIALS, CREDENTIAL = "HFZMQ_KEY", "CREDENTIALS_DIRECTORY", "hfzmq.secret"
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700
FILE_BYTES_MAX = 4096

_OTHERS, _OTHERS_OF_A_CREDENTIAL = 0o077, 0o007  # systemd lets its group bits stand for an ACL of one user
_ORDER = {BEDSIDE_KEY: (WARD_NAME, CLIENT_NAME, ADMIN_NAME), COMMAND_KEY: (ADMIN_NAME, WARD_NAME, CLIENT_NAME)}


class SecretFile(NamedTuple):
    """A file of the directory: its name without the suffix, its mode, its public key, or why it cannot be used."""

    name: str
    path: Path
    mode: int
    public: str
    fault: str


# ------------------------------------------------------------ one file


def make_pair() -> OwnKey:
    """A new pair of keys."""
    import zmq  # 40 ms, and only here

    public, secret = zmq.curve_keypair()
    return OwnKey(public.decode(), secret.decode())


def write_secret(path: Path, name: str, role: str) -> OwnKey:
    """Make a pair and keep it in ``path``, synced; KeysError when there is such a file or it cannot be written."""
    pair = make_pair()
    text = (
        f"# hfzmq: the secret key of {name} ({role}). Whoever reads it can speak in its name.\n"
        f"public {pair.public}\nsecret {pair.secret}\n"
    )
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        make_directory(path.parent)
        beside.unlink(missing_ok=True)
        try:
            _write_synced(beside, text, FILE_MODE)
            os.link(beside, path)  # unlike a rename it never takes the place of a file
        finally:
            beside.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise KeysError(
            f"{path} is there already, and a secret key is never overwritten",
            hint=f"another name, or move it away: mv {path} {path}.old",
        ) from None
    except OSError as error:
        raise KeysError(
            f"{path}: a secret key cannot be written: {error.strerror}", hint="is there room, and are there rights?"
        ) from None
    return OwnKey(pair.public, pair.secret, str(path), role)


def read_secret(path: Path, others: int = _OTHERS) -> OwnKey:
    """The pair in a file. KeysError: it is not there, cannot be read, is none, or others can read it (any bit of
    ``others`` in its mode)."""
    try:
        with open_plain(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeysError(
            f"{path}: no such secret key", hint="bring it from where hfzmq keys init ran, or name another: --key FILE"
        ) from None
    except (NoPlainFile, IsADirectoryError) as error:
        raise KeysError(
            f"{path}: not a secret key of hfzmq: {error.strerror}",
            hint="name the file of a secret key: --key keys/NAME.secret",
        ) from None
    except OSError as error:
        raise KeysError(
            f"{path}: the secret key cannot be read: {error.strerror}",
            hint=f"it is for its owner alone; who that is: ls -l {path}; be that user, or name another: --key FILE",
        ) from None
    if mode & others:
        raise KeysError(
            f"{path}: others can read this secret key (mode {mode:04o})",
            hint=f"chmod {FILE_MODE:o} {path}; if somebody may have read it: hfzmq keys issue, then hfzmq keys revoke",
        )
    words = [line.split() for line in data.decode("utf-8", "replace").splitlines() if not line.startswith("#")]
    found = {line[0]: line[1] for line in words if len(line) == 2}
    public, secret = found.get("public", ""), found.get("secret", "")
    if len(data) > FILE_BYTES_MAX or not is_key(public) or not is_key(secret):
        raise KeysError(
            f"{path}: not a secret key of hfzmq", hint="such files are made by hfzmq keys init and keys issue"
        )
    if _public_of(secret) != public:
        raise KeysError(
            f"{path}: its public key does not belong to its secret one",
            hint="put it back from a copy, or make a new one: hfzmq keys issue",
        )
    return OwnKey(public, secret, str(path), _role_said(data))


def make_directory(directory: Path) -> None:
    """A directory for nobody but its owner; one that is there keeps its mode. OSError."""
    if not directory.is_dir():
        directory.mkdir(mode=DIRECTORY_MODE, parents=True)
        os.chmod(directory, DIRECTORY_MODE)
        _sync_directory(directory.parent)


def secret_files(directory: Path) -> list[SecretFile]:
    """What lies in a directory of keys, by name."""
    found = []
    with suppress(OSError):
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            public, fault = "", ""
            try:
                public = read_secret(path).public
            except KeysError as error:
                fault = f"{error}"
            mode = 0
            with suppress(OSError):
                mode = stat.S_IMODE(path.stat().st_mode)
            found.append(SecretFile(path.name[: -len(SUFFIX)], path, mode, public, fault))
    return found


def replace_text(path: Path, text: str) -> None:
    """Let ``text`` take the place of a file's, at once and synced; its mode and owner stay. OSError."""
    path = path.resolve()  # behind a link, the file itself
    before = path.stat()
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        beside.unlink(missing_ok=True)
        _write_synced(beside, text, stat.S_IMODE(before.st_mode))
        with suppress(PermissionError):
            os.chown(beside, before.st_uid, before.st_gid)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_directory(path.parent)


# ------------------------------------------------------------ which one


def directory_of(config_path: str) -> Path:
    """Where the keys lie that belong to a peers.yaml."""
    return Path(config_path or ".").parent / DIRECTORY if config_path else Path(DIRECTORY)


def with_own_key(
    config: Config, who: str, environ: Mapping[str, str], explicit: str | None = None, peer: int = 0
) -> Config:
    """``config`` with the pair that this process speaks with; as it is where it is plain or has one. ``who``: PEER_KEY
    (then ``peer``), BEDSIDE_KEY or COMMAND_KEY. KeysError names the file and what to do."""
    if config.keys is None or config.keys.own is not None:
        return config
    own = _chosen(config, who, environ, explicit, peer)
    return config._replace(keys=config.keys._replace(own=own))


def _chosen(config: Config, who: str, environ: Mapping[str, str], explicit: str | None, peer: int) -> OwnKey:
    named = explicit or environ.get(VARIABLE, "").strip()
    if named:
        return read_secret(Path(named))
    directory = directory_of(config.path)
    if who == PEER_KEY:
        given = environ.get(CREDENTIALS, "").strip()
        if given and _is_there(Path(given) / CREDENTIAL):
            return read_secret(Path(given) / CREDENTIAL, _OTHERS_OF_A_CREDENTIAL)
        return read_secret(directory / f"peer-{peer}{SUFFIX}")
    paths = [directory / f"{name}{SUFFIX}" for name in _ORDER[who]]
    if who == COMMAND_KEY:
        with suppress(OSError):
            paths += sorted(directory.glob(f"peer-*{SUFFIX}"))
    for path in paths:
        if os.access(path, os.R_OK):
            return read_secret(path)
    there = [path for path in paths if _is_there(path)]
    if there:
        return read_secret(there[0])  # says why not
    raise KeysError(
        f"no secret key: {', '.join(map(str, paths[:2]))} {'is' if len(paths) == 1 else 'are'} not there",
        hint="bring one from where hfzmq keys init ran, or name one: --key FILE or HFZMQ_KEY",
    )


# ------------------------------------------------------------ the parts


def _is_there(path: Path) -> bool:
    """Also where nobody may look: then reading it says why not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _role_said(data: bytes) -> str:
    """By the first line, as ``write_secret`` writes it; '' when it does not say."""
    found = re.match(rb"# hfzmq: the secret key of \S+ \((\w+)\)", data)
    return found[1].decode("ascii", "replace") if found else ""


def _public_of(secret: str) -> str:
    import zmq

    return str(zmq.curve_public(secret.encode()).decode())


def _write_synced(path: Path, text: str, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)  # whatever the umask is
        file.write(text)
        file.flush()
        os.fsync(handle)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
