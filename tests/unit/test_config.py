"""peers.yaml: what is right is read back, what is wrong is refused with file, line, key and cause."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq import config
from hfzmq.config import Config, Limits, PeerAddress, Thresholds, Timing
from hfzmq.errors import ConfigError
from hfzmq.key_section import Keys
from hfzmq.yaml_reader import is_host

GOOD = """\
mesh:
  name: ward
  id: 00112233445566778899aabbccddeeff
peers:
  - {id: 1, host: 127.0.0.1, client_port: 7101, peer_port: 7102, beat_port: 7103}
  - {id: 2, host: 127.0.0.1, client_port: 7111, peer_port: 7112, beat_port: 7113}
timing:
  lease_ms: 1000
  heartbeat_ms: 100
tiers:
  amber_from: 0.3
  red_from: 0.6
limits:
  batch_rows_max: 500
heart_rate:
  valid_min: 50
  valid_max: 120
log:
  level: info
security: plain
"""


KEYS = Keys(
    ((1, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), (4, "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")),
    (("admin", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"),),
    (("ward", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"), ("no", "xKm#eZ)t-(^$mh2(dD+^k0yV*5Kc5Tqs7Xk!G}6r")),
)


def refusal(old: str, new: str) -> ConfigError:
    """What is said of GOOD with ``old`` replaced by ``new``."""
    assert GOOD.count(old) >= 1, old
    with pytest.raises(ConfigError) as caught:
        config.parse(GOOD.replace(old, new, 1), "f.yaml")
    return caught.value


def test_a_good_file_becomes_a_config_with_defaults_for_what_it_leaves_out() -> None:
    parsed = config.parse(GOOD, "f.yaml")
    assert parsed.mesh_name == "ward"
    assert parsed.mesh_id == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert parsed.peer_ids == (1, 2)
    assert parsed.peer(2) == PeerAddress(2, "127.0.0.1", 7111, 7112, 7113)
    assert parsed.timing == Timing(1000, 100, Timing().handover_settle_ms)
    assert parsed.limits == Limits()._replace(batch_rows_max=500)
    assert parsed.thresholds == Thresholds(0.3, 0.6)
    assert parsed.path == "f.yaml"


def test_peers_are_sorted_by_id_whatever_their_order_in_the_file() -> None:
    assert config.parse(GOOD.replace("id: 1,", "id: 7,")).peer_ids == (2, 7)


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "cause"),
    [
        ("valid_min: 50", "valid_min: 0", 16, "heart_rate.valid_min", "a whole number, 1 to 300"),
        ("valid_min: 50", "valid_min: 49.5", 16, "heart_rate.valid_min", "a whole number"),
        ("valid_min: 50", "lowest: 50", 16, "heart_rate.lowest", "unknown key"),
        ("valid_min: 50", "valid_min: 120", 16, "heart_rate.valid_min", "must be below valid_max (120)"),
        ("valid_max: 120", "valid_max: 200", 17, "heart_rate.valid_max", "must be below invalid_max (200)"),
        ("valid_max: 120", "invalid_min: 50", 17, "heart_rate.invalid_min", "must be below valid_min (50)"),
        ("valid_max: 120", "future_ms: -1", 17, "heart_rate.future_ms", "0 to 3600000"),
        ("valid_max: 120", "patients: 10001", 17, "heart_rate.patients", "1 to 10000"),
        ("level: info", "level: loud", 19, "log.level", "one of debug, info, warning, error"),
        ("level: info", "level: [info]", 19, "log.level", "one of"),
        ("mesh:\n", "mesh: [\n", 3, "", "not YAML"),
        ("  name: ward", "  name: wa\x07rd", 2, "", "control character"),
        ("  name: ward", "  nome: ward", 2, "mesh.nome", "unknown key"),
        ("  name: ward", "  name: ward\n  name: ward", 3, "mesh.name", "given twice"),
        ("  name: ward\n", "", 2, "mesh.name", "missing"),
        ("  name: ward", "  name: [ward]", 2, "mesh.name", "text of 1 to 64"),
        ("  name: ward", "  name: two words", 2, "mesh.name", "without spaces"),
        ("  name: ward", f"  name: {'w' * 65}", 2, "mesh.name", "1 to 64"),
        ("eeff\n", "ee\n", 3, "mesh.id", "32 hexadecimal digits"),
        ("eeff\n", "eefg\n", 3, "mesh.id", "32 hexadecimal digits"),
        ("timing:\n", "timings:\n", 7, "timings", "unknown key"),
        ("peers:\n", "? [a]\n: 1\npeers:\n", 4, "?", "unknown key"),
        ("{id: 1, host", "{id: one, host", 5, "peers[0].id", "a whole number, 1 to 9999"),
        ("{id: 1, host", "{id: true, host", 5, "peers[0].id", "a whole number"),
        ("{id: 1, host", "{id: 1.0, host", 5, "peers[0].id", "a whole number"),
        ("{id: 1, host", "{id: '1', host", 5, "peers[0].id", "a whole number"),
        ("{id: 1, host", "{id: 010, host", 5, "peers[0].id", "a whole number"),
        ("{id: 1, host", "{id: [1], host", 5, "peers[0].id", "a whole number"),
        ("{id: 1, host", "{id: 0, host", 5, "peers[0].id", "1 to 9999"),
        ("{id: 1, host", "{id: 10000, host", 5, "peers[0].id", "1 to 9999"),
        ("{id: 2, host", "{id: 1, host", 6, "peers[1].id", "id 1 is already taken in line 5"),
        ("client_port: 7111", "client_port: 7102", 6, "peers[1].client_port", "already taken by peers[0].peer_port"),
        ("beat_port: 7113", "beat_port: 7112", 6, "peers[1].beat_port", "already taken by peers[1].peer_port"),
        ("beat_port: 7113", "beat_port: 0", 6, "peers[1].beat_port", "1 to 65535"),
        ("beat_port: 7113", "beat_port: 65536", 6, "peers[1].beat_port", "1 to 65535"),
        ("beat_port: 7113", "beat_port: 1:30", 6, "peers[1].beat_port", "a whole number"),
        (", beat_port: 7113", "", 6, "peers[1].beat_port", "missing"),
        ("host: 127.0.0.1", "host: tcp://a", 5, "peers[0].host", "an IPv4 address or a host name"),
        ("host: 127.0.0.1", "host: 'a b'", 5, "peers[0].host", "an IPv4 address or a host name"),
        ("host: 127.0.0.1", "host: 127.0.0.256", 5, "peers[0].host", "an IPv4 address or a host name"),
        ("host: 127.0.0.1", "host: 0.0.0.0", 5, "peers[0].host", "an IPv4 address or a host name"),
        ("host: 127.0.0.1", "host: '::1'", 5, "peers[0].host", "an IPv4 address or a host name"),
        ("  lease_ms: 1000", "  lease_ms: 149", 8, "timing.lease_ms", "a whole number, 150 to 60000"),
        ("  lease_ms: 1000", "  lease_ms: 499", 9, "timing.heartbeat_ms", "at most a fifth of lease_ms (99)"),
        ("  heartbeat_ms: 100", "  heartbeat_ms: 201", 9, "timing.heartbeat_ms", "at most a fifth of lease_ms (200)"),
        ("  amber_from: 0.3", "  amber_from: 0.6", 11, "tiers.amber_from", "must be below red_from (0.6)"),
        ("  amber_from: 0.3\n  red_from: 0.6", "  red_from: 0.2", 11, "tiers.red_from", "above amber_from (0.3)"),
        ("  amber_from: 0.3", "  amber_from: 0", 11, "tiers.amber_from", "a probability between 0 and 1"),
        ("  red_from: 0.6", "  red_from: 1", 12, "tiers.red_from", "a probability between 0 and 1"),
        ("  red_from: 0.6", "  red_from: .nan", 12, "tiers.red_from", "a probability between 0 and 1"),
        ("  red_from: 0.6", "  red_from: high", 12, "tiers.red_from", "a probability between 0 and 1"),
        ("  red_from: 0.6", "  red_from: '0.6'", 12, "tiers.red_from", "a probability between 0 and 1"),
        ("batch_rows_max: 500", "batch_rows_max: 10001", 14, "limits.batch_rows_max", "1 to 10000"),
        (
            "batch_rows_max: 500",
            "client_message_bytes_max: 8191",
            14,
            "limits.client_message_bytes_max",
            "a whole number, 8192 to 67108864",
        ),
        (
            "batch_rows_max: 500",
            "client_message_bytes_max: 3000000",
            14,
            "limits.peer_message_bytes_max",
            "at least twice client_message_bytes_max",
        ),
        (
            "batch_rows_max: 500",
            "append_bytes_max: 3000000",
            14,
            "limits.peer_message_bytes_max",
            "at least twice append_bytes_max",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_key_and_cause(
    old: str, new: str, line: int, key: str, cause: str
) -> None:
    error = refusal(old, new)
    assert (error.line, error.field) == (line, key)
    assert cause in error.bound
    place = f"f.yaml:{line}: {key}: " if key else f"f.yaml:{line}: "
    assert str(error).partition(", got ")[0] == (place + error.bound).partition(", got ")[0]
    assert error.exit_code == 6
    assert error.hint  # nobody is left without a next step


@pytest.mark.parametrize(
    ("value", "shown", "hint"),
    [
        ("9" * 40, "999999999999... (40 digits)", "compare with a whole file"),
        ("-" + "9" * 40, "-99999999999... (40 digits)", "compare with a whole file"),
        (".nan", ".nan", "decimal digits only, such as 1"),
        ("-.inf", "-.inf", "decimal digits only, such as 1"),
        ("many", "", "decimal digits only, such as 1"),
        ("'7'", '"7"', "no quotes"),
        ("007", "007", "no leading zero"),
        ("7.5", "7.5", "no point"),
    ],
)
def test_what_stands_where_a_whole_number_belongs_is_shown_with_a_hint_that_fits(
    value: str, shown: str, hint: str
) -> None:
    error = refusal("batch_rows_max: 500", f"batch_rows_max: {value}")
    assert str(error).endswith(f", got {shown}" if shown else "1 to 10000")
    assert error.hint.startswith(hint) or (hint.startswith("no ") and hint in error.hint)
    assert ("no quotes" in error.hint) is hint.startswith("no ")


@pytest.mark.parametrize(
    ("text", "key", "cause"),
    [
        ("", "", "a mapping of mesh, peers"),
        ("# nothing\n", "", "a mapping of mesh, peers"),
        ("just words", "", "a mapping of mesh, peers"),
        ("- a\n", "", "a mapping of mesh, peers"),
        ("a: 1\n---\nb: 2\n", "", "not YAML"),
        ("[" * 5000, "", "not YAML"),
        ("mesh: 1\npeers: []\n", "mesh", "a mapping of name, id"),
        (GOOD.split("peers:")[0], "peers", "missing"),
        (GOOD.split("peers:")[0] + "peers: []\n", "peers", "a list of 1 to 15 items"),
        (GOOD.split("peers:")[0] + "peers: [1]\n", "peers[0]", "a mapping of id, host"),
    ],
)
def test_a_file_of_another_shape_is_refused_and_never_crashes(text: str, key: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "f.yaml")
    assert caught.value.field == key
    assert cause in caught.value.bound
    assert caught.value.hint


def test_sixteen_peers_are_one_too_many() -> None:
    rows = [
        f"  - {{id: {n}, host: h{n}, client_port: 1, peer_port: 2, beat_port: 3}}"
        for n in range(1, config.PEERS_MAX + 2)
    ]
    head = GOOD.split("peers:")[0] + "peers:\n"
    assert len(config.parse(head + "\n".join(rows[:-1]), unkeyed_is_fine=True).peers) == config.PEERS_MAX
    with pytest.raises(ConfigError, match="a list of 1 to 15 items"):
        config.parse(head + "\n".join(rows))


def test_localhost_and_127_0_0_1_are_one_machine_so_a_port_taken_twice_is_seen() -> None:
    second = GOOD.rindex("host: 127.0.0.1")
    text = GOOD[:second] + GOOD[second:].replace("host: 127.0.0.1", "host: LocalHost").replace("7111", "7101")
    with pytest.raises(ConfigError, match=r"LocalHost:7101 is already taken by peers\[0\]\.client_port"):
        config.parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "ward-3", "ward-3.example.org", "hfzmq_1", "a"])
def test_addresses_and_names_are_hosts(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "tcp://a",
        "a:1",
        "a/b",
        "::1",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "1.2.3",
        "999.1.1.1",
        "0.0.0.0",
        "*",
        "ä",
    ],
)
def test_whatever_else_is_no_host(host: str) -> None:
    assert not is_host(host)


def test_a_label_of_64_and_a_name_of_254_characters_and_a_line_end_are_no_host() -> None:
    assert is_host("a" * 63)
    assert not is_host("a" * 64)
    assert not is_host(".".join(["a" * 50] * 5))
    assert not is_host("a\n")


def test_an_unknown_peer_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no peer with id 3") as caught:
        config.parse(GOOD).peer(3)
    assert caught.value.hint == "ids in this file: 1, 2; a new peer is listed here first"


def test_a_missing_file_a_directory_and_a_file_that_is_not_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        config.load(tmp_path / "none.yaml")
    assert "hfzmq config init" in caught.value.hint
    with pytest.raises(ConfigError, match="Is a directory") as caught:
        config.load(tmp_path)
    assert caught.value.hint
    wrong = tmp_path / "peers.yaml"
    wrong.write_bytes(b"mesh:\n  name: w\xe4rd\n")
    with pytest.raises(ConfigError, match=r"peers\.yaml:2: not UTF-8 text"):
        config.load(wrong)


def test_a_file_longer_than_the_bound_is_refused_unread(tmp_path: Path) -> None:
    long = tmp_path / "peers.yaml"
    long.write_text("#" * (config.FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="longer than"):
        config.load(long)


def test_load_remembers_where_the_config_was_read(tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(GOOD)
    assert config.load(path).path == str(path)


def test_every_limit_and_time_has_bounds_and_its_default_is_inside() -> None:
    for bounds, defaults in ((config._TIMING_BOUNDS, Timing()), (config._LIMIT_BOUNDS, Limits())):
        assert set(bounds) == set(defaults._fields)
        for name, value in defaults._asdict().items():
            low, high = bounds[name]
            assert low <= value <= high, name


names = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=64).filter(
    lambda text: text.isprintable() and " " not in text
)


@given(st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,8}[A-Za-z0-9_])?", fullmatch=True).filter(is_host))
def test_every_host_is_read_back_as_it_was_written(host: str) -> None:
    before = Config("ward", bytes(16), (PeerAddress(1, host, 7101, 7102, 7103),), path="x", keys=KEYS)
    assert config.parse(config.render(before), "x") == before


@pytest.mark.parametrize("host", ["::1", "a, b: 1", "[a]", "#", "{"])
def test_a_host_that_is_none_is_refused_as_a_host_and_not_as_yaml(host: str) -> None:
    text = config.render(Config("ward", bytes(16), (PeerAddress(1, host, 7101, 7102, 7103),)))
    with pytest.raises(ConfigError, match=r"peers\[0\]\.host: an IPv4 address or a host name"):
        config.parse(text)


@given(name=names, mesh_id=st.binary(min_size=16, max_size=16), amber=st.floats(0.01, 0.49), red=st.floats(0.5, 0.99))
def test_render_writes_what_parse_reads_back(name: str, mesh_id: bytes, amber: float, red: float) -> None:
    peers = (PeerAddress(1, "127.0.0.1", 7101, 7102, 7103), PeerAddress(4, "ward-4", 7101, 7102, 7103))
    before = Config(name, mesh_id, peers, Timing(2000, 50, 0), Limits(batch_rows_max=7), Thresholds(amber, red), "x")
    before = before._replace(keys=KEYS)
    assert config.parse(config.render(before), "x") == before


def test_meshes_of_other_ids_or_peers_have_another_bootstrap_hash_and_addresses_do_not_matter() -> None:
    one = config.parse(GOOD)
    assert one.bootstrap_hash() == config.parse(GOOD.replace("127.0.0.1", "127.0.0.2")).bootstrap_hash()
    assert one.bootstrap_hash() != config.parse(GOOD.replace("id: 2,", "id: 3,")).bootstrap_hash()
    assert one.bootstrap_hash() != config.parse(GOOD.replace("eeff", "eefe")).bootstrap_hash()
