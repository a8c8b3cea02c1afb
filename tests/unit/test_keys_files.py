"""Keys in files: the section of peers.yaml, secret files, which one a process takes, hfzmq keys offline."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hfzmq import config
from hfzmq.access import AccessList
from hfzmq.config import Config
from hfzmq.errors import ConfigError, HfzmqError, InvalidInput, KeysError, TimedOut
from hfzmq.key_edit import with_entry, with_section
from hfzmq.key_section import Keys, OwnKey
from hfzmq.secret_files import (
    BEDSIDE_KEY,
    COMMAND_KEY,
    CREDENTIAL,
    CREDENTIALS,
    PEER_KEY,
    VARIABLE,
    read_secret,
    with_own_key,
    write_secret,
)
from tests.unit.cli_world import keyed_config, run

A = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
B = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
C = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
D = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

HEAD = """\
# the ward's own words
mesh: {name: ward, id: 00112233445566778899aabbccddeeff}
peers:    # two of them
  - {id: 1, host: 10.0.0.1, client_port: 7101, peer_port: 7102, beat_port: 7103}
  - {id: 2, host: 10.0.0.2, client_port: 7111, peer_port: 7112, beat_port: 7113}
"""


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    return keyed_config(tmp_path)


# ------------------------------------------------------------ the section

SECTIONS = [
    f'keys:\n  peers: {{1: "{A}"}}\n',
    f'keys:\n  peers:\n    1: "{A}"   # mine\n  admins: {{}}\n  clients:\n    w: "{B}"\n  revoked: []\n# the end\n',
    f'keys: {{peers: {{1: "{A}"}}, clients: {{w: "{B}"}}, revoked: ["{B}"]}}\nlog: {{level: info}}\n',
    f'keys:\n    peers: {{1: "{A}"}}\n    revoked:\n    - "{B}"\nlog: {{level: info}}',
]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    ("where", "name", "key"), [("peers", "2", C), ("admins", "boss", C), ("clients", "no", C), ("revoked", "", C)]
)
def test_a_key_is_added_to_a_file_and_all_that_somebody_wrote_stays(
    section: str, where: str, name: str, key: str
) -> None:
    before = HEAD + section
    made = with_entry(before, "f.yaml", where, key, name)
    found = config.parse(made).keys
    assert found is not None
    given = getattr(found, where)
    assert (key if where == "revoked" else (int(name) if where == "peers" else name, key)) in given
    for line in before.splitlines():
        if line.startswith("#") or "#" in line:
            assert line in made.splitlines()
    again = with_entry(made, "f.yaml", where, D, name + "2" if where != "peers" else "3")
    assert config.parse(again).keys is not None


def test_a_peer_s_new_key_takes_the_place_of_the_old_one() -> None:
    made = with_entry(HEAD + SECTIONS[1], "f.yaml", "peers", C, "1")
    found = config.parse(made).keys
    assert found is not None
    assert found.peers == ((1, C),)
    assert "# mine" in made


def test_making_keys_takes_the_line_that_says_plain_out() -> None:
    plain = HEAD.replace("10.0.0.", "127.0.0.") + "security: plain   # to try\nlog:\n  level: info\n"
    made = with_section(plain, "f.yaml", Keys(((1, A), (2, B)), (("admin", C),), (("ward", D),)))
    assert "security" not in made
    assert "level: info" in made
    found = config.parse(made).keys
    assert found is not None
    assert found.admins == (("admin", C),)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("", "keys: missing"),
        ("security: plain\n", "10.0.0.1 (line 4)"),
        (f'security: plain\nkeys: {{peers: {{1: "{A}"}}}}\n', "and yet there are keys"),
        ("security: none\n", "one of plain"),
        ("keys: {}\n", "keys.peers: missing"),
        (f'keys: {{peers: {{one: "{A}"}}}}\n', "a whole number"),
        (f'keys: {{peers: {{1: "{A[:-1]}"}}}}\n', "keys.peers.1: a public key"),
        (f'keys: {{peers: {{1: "{A}", 2: "{A}"}}}}\n', "the key of keys.peers.1 once more"),
        (f'keys: {{peers: {{1: "{A}", 1: "{B}"}}}}\n', "given twice"),
        (
            f'keys: {{peers: {{1: "{A}"}}, admins: {{a: "{B}"}}, clients: {{a: "{C}"}}}}\n',
            "keys.clients.a: given twice",
        ),
        (f'keys: {{peers: {{1: "{A}"}}, admins: {{"a b": "{B}"}}}}\n', "keys.admins: 1 to 64 letters"),
        (f'keys: {{peers: {{1: "{A}"}}, revoked: {{a: "{B}"}}}}\n', "keys.revoked: a list"),
        (f'keys: {{peers: {{1: "{A}"}}, secrets: {{a: "{B}"}}}}\n', "keys.secrets: unknown key"),
    ],
)
def test_what_is_wrong_with_the_keys_of_a_file_is_named(section: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(HEAD + section, "f.yaml")
    assert words in str(caught.value)
    assert caught.value.hint


def test_a_configuration_never_shows_its_secret(ward: Path) -> None:
    mine = with_own_key(config.load(ward), COMMAND_KEY, {})
    assert mine.keys is not None
    assert mine.keys.own is not None
    secret = mine.keys.own.secret
    assert secret not in repr(mine)
    assert secret not in config.render(mine)
    for words in (("config", "show"), ("config", "show", "-o", "json"), ("keys", "show", "--offline")):
        done = run(*words, "--config", str(ward))
        assert done.code == 0, done.err
        assert secret not in done.out + done.err


# ------------------------------------------------------------ secret files


def test_secret_files_are_for_their_owner_only_whatever_the_umask_and_never_overwritten(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        own = write_secret(tmp_path / "keys" / "a.secret", "a", "client")
    finally:
        os.umask(before)
    path = tmp_path / "keys" / "a.secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_secret(path) == own
    assert (read_secret(path).role, own.role) == ("client", "client")
    with pytest.raises(KeysError, match="never overwritten"):
        write_secret(path, "a", "client")
    assert read_secret(path) == own
    assert [one.name for one in path.parent.iterdir()] == ["a.secret"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_secret_that_others_can_read_is_refused_with_the_chmod_to_run(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.secret"
    write_secret(path, "a", "client")
    path.chmod(mode)
    with pytest.raises(KeysError) as caught:
        read_secret(path)
    assert f"{mode:04o}" in str(caught.value)
    assert caught.value.hint.startswith(f"chmod 600 {path}")
    assert caught.value.exit_code == 7


def test_a_file_that_is_no_secret_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.secret"
    own, other = write_secret(path, "a", "client"), write_secret(tmp_path / "b.secret", "b", "client")
    for text in (
        "",
        "secret x\n",
        f"public {own.public}\n",
        "\x00\xff",
        f"public {other.public}\nsecret {own.secret}\n",
    ):
        path.write_text(text)
        with pytest.raises(KeysError):
            read_secret(path)
    with pytest.raises(KeysError, match="no such secret key"):
        read_secret(tmp_path / "none.secret")


def own_of(config_: Config) -> OwnKey:
    assert config_.keys is not None
    assert config_.keys.own is not None
    return config_.keys.own


def test_which_secret_a_process_takes(ward: Path, tmp_path: Path) -> None:
    keys, made = ward.parent / "keys", config.load(ward)
    credentials = tmp_path / "credentials"
    credentials.mkdir()

    def taken(who: str, environ: dict[str, str], explicit: str | None = None, peer: int = 0) -> str:
        return Path(own_of(with_own_key(made, who, environ, explicit, peer)).path).name

    assert taken(COMMAND_KEY, {}) == "admin.secret"
    assert taken(BEDSIDE_KEY, {}) == "ward.secret"
    assert taken(PEER_KEY, {}, peer=2) == "peer-2.secret"
    given = write_secret(credentials / CREDENTIAL, "peer-2", "peer")
    (credentials / CREDENTIAL).chmod(0o440)  # as systemd hands it over
    assert own_of(with_own_key(made, PEER_KEY, {CREDENTIALS: str(credentials)}, None, 2)).public == given.public
    assert taken(COMMAND_KEY, {VARIABLE: str(keys / "ward.secret")}) == "ward.secret"
    assert taken(COMMAND_KEY, {VARIABLE: str(keys / "ward.secret")}, str(keys / "peer-1.secret")) == "peer-1.secret"
    (keys / "admin.secret").unlink()
    assert taken(COMMAND_KEY, {}) == "ward.secret"
    (keys / "ward.secret").unlink()
    assert taken(COMMAND_KEY, {}) == "peer-1.secret", "on a peer's machine: it may read"
    with pytest.raises(KeysError, match="no secret key"):
        taken(BEDSIDE_KEY, {})
    for path in keys.glob("peer-*"):
        path.unlink()
    with pytest.raises(KeysError) as caught:
        taken(COMMAND_KEY, {})
    assert str(keys / "admin.secret") in str(caught.value)
    assert "--key FILE" in caught.value.hint


def test_a_credential_that_is_there_and_cannot_be_read_is_said_to_be_so(ward: Path) -> None:
    credential = ward.parent / CREDENTIAL
    credential.symlink_to(credential)  # nobody can, not even root
    with pytest.raises(KeysError, match="cannot be read: Too many levels") as caught:
        with_own_key(config.load(ward), PEER_KEY, {CREDENTIALS: str(ward.parent)}, None, 2)
    assert str(credential) in str(caught.value)


# ------------------------------------------------------------ the commands, offline


def test_config_init_and_keys_init_are_all_that_a_mesh_takes(ward: Path) -> None:
    done = run("config", "check", "--config", str(ward))
    assert done.code == 0
    assert "keys for all peers" in done.out
    names = sorted(path.name for path in (ward.parent / "keys").iterdir())
    assert names == ["admin.secret", "peer-1.secret", "peer-2.secret", "peer-3.secret", "ward.secret"]
    assert "no keys yet" not in ward.read_text()
    again = run("keys", "init", "--config", str(ward))
    assert again.code == 7
    assert "has keys already" in again.err


def test_keys_init_that_was_interrupted_goes_on_with_the_keys_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(run("config", "init").out)
    first = write_secret(tmp_path / "keys" / "peer-1.secret", "peer-1", "peer")
    done = run("keys", "init", "--config", str(path))
    assert done.code == 0
    assert "was there, kept" in done.out
    keys = config.load(path).keys
    assert keys is not None
    assert keys.key_of(1) == first.public


def test_issue_revoke_and_show_into_the_file_alone(ward: Path) -> None:
    where = ("--config", str(ward))
    assert run("keys", "issue", "bed-9", "--role", "client", "--offline", *where).code == 0
    twice = run("keys", "issue", "bed-9", "--role", "client", "--offline", *where)
    assert (twice.code, "called bed-9 already" in twice.err) == (7, True)
    assert "bed-9" in run("keys", "show", "--offline", *where).out
    done = run("keys", "revoke", "bed-9", "--offline", *where)
    assert done.code == 0
    assert "SIGHUP" in done.err
    shown = run("keys", "show", "--offline", *where).out
    assert "REVOKED" in next(line for line in shown.splitlines() if line.startswith("bed-9"))
    assert run("keys", "revoke", "bed-9", "--offline", *where).code == 7
    assert run("keys", "revoke", "nobody", "--offline", *where).code == 5
    last = run("keys", "revoke", "admin", "--offline", *where)
    assert (last.code, "only admin" in last.err) == (7, True)
    assert run("keys", "issue", "../x", "--role", "client", "--offline", *where).code == 6
    assert run("keys", "issue", "p", "--role", "peer", "--offline", *where).code == 2


def test_a_public_key_that_begins_with_a_dash_is_no_option(ward: Path) -> None:
    key = "-ia(C{nbEijnry=A$3?p8<AYe4*i1}uv/O^J&1{P"
    for words in ((key, "--offline"), ("--offline", "-h" + key[2:]), ("--offline", "--", "-o" + key[2:])):
        done = run("keys", "revoke", "--config", str(ward), *words)
        assert done.code == 0, done
        assert "is revoked in" in done.out
    assert run("keys", "revoke", "--config", str(ward), "-x").code == 2


def test_a_file_that_cannot_be_written_leaves_the_keys_for_another_try(
    ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*about: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = ward.read_text()
    monkeypatch.setattr("os.replace", no)
    done = run("keys", "issue", "bed-9", "--role", "client", "--offline", "--config", str(ward))
    assert (done.code, "Permission denied" in done.err) == (7, True)
    monkeypatch.undo()
    assert ward.read_text() == before
    assert sorted(path.name for path in ward.parent.iterdir()) == ["keys", "peers.yaml"]
    assert run("keys", "issue", "bed-9", "--role", "client", "--offline", "--config", str(ward)).code == 0


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (KeysError("it takes an admin's key"), False),
        (InvalidInput("name", "another one"), False),
        (TimedOut("not known whether it is stored"), True),
    ],
)
def test_a_key_that_the_mesh_refused_to_issue_leaves_no_secret_and_one_that_may_be_issued_does(
    ward: Path, monkeypatch: pytest.MonkeyPatch, error: HfzmqError, left: bool
) -> None:
    def refused(*about: object) -> str:
        raise error

    monkeypatch.setattr("hfzmq.cli.access.mesh.Mesh.check_issue", lambda *about: AccessList())
    monkeypatch.setattr("hfzmq.cli.access.mesh.Mesh.issue", refused)
    words = ("keys", "issue", "bed-9", "--role", "client", "--config", str(ward))
    secret = ward.parent / "keys" / "bed-9.secret"
    assert run(*words).code == error.exit_code
    assert secret.exists() is left
    own = read_secret(secret) if left else write_secret(secret, "bed-9", "client")
    assert run(*words).code == error.exit_code
    assert read_secret(secret) == own  # what was there before is never taken away


def test_config_check_says_of_each_key_what_the_file_alone_cannot_say_is_well(ward: Path) -> None:
    where = ("--config", str(ward))

    def checked() -> str:
        done = run("config", "check", *where)
        assert done.code == 0
        return done.out + done.err

    assert "keys for all peers, 1 admin, 1 client" in checked()
    assert "warning" not in checked()
    assert "note" not in checked()
    whole = ward.read_text()
    third = next(line for line in whole.splitlines() if line.startswith("    3: "))
    ward.write_text(whole.replace(third + "\n", ""))
    assert "keys for 2 of 3 peers" in checked()
    assert "warning: keys.peers: no key for peer 3 in this file\nhint: none is needed if" in checked()
    ward.write_text(whole)
    assert run("keys", "revoke", "peer-2", "--offline", "--yes", *where).code == 0
    assert "warning: keys.peers.2: this key is revoked: peer 2 does not start with it\nhint: " in checked()
    ward.write_text(whole)
    assert run("keys", "revoke", "admin", "--offline", "--last-admin", *where).code == 0
    assert "keys for all peers, 0 admins, 1 client" in checked()
    assert "note: no admin's key in this file" in checked()
