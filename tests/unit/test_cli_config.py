"""``hfzmq config``: what init writes, check accepts; what is wrong is said with file, line, key and cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfzmq import config
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, to_mapping
from hfzmq.clinical.alarm.settings import rules_of
from tests.unit.cli_world import run

PLAIN = "plain: no keys, for this machine alone"


def written(tmp_path: Path, *words: str) -> Path:
    done = run("config", "init", "--plain", *words)
    assert (done.code, done.err) == (0, "")
    path = tmp_path / "peers.yaml"
    path.write_text(done.out)
    return path


def test_init_writes_three_loopback_peers_that_check_accepts(tmp_path: Path) -> None:
    path = written(tmp_path)
    made = config.load(path)
    assert made.peer_ids == (1, 2, 3)
    assert {peer.host for peer in made.peers} == {"127.0.0.1"}
    done = run("config", "check", "--config", str(path))
    assert done.code == 0
    assert done.out == f"{path}: ok: mesh ward, 3 peers (1, 2, 3), quorum 2, works on while 1 is away; {PLAIN}\n"


def test_two_meshes_never_share_an_id() -> None:
    one, other = (config.parse(run("config", "init", "--plain").out) for _ in range(2))
    assert one.mesh_id != other.mesh_id


def test_init_gives_a_file_that_says_to_make_keys_and_that_no_peer_starts_with(tmp_path: Path) -> None:
    done = run("config", "init")
    assert "hfzmq keys init" in done.out.splitlines()[-1]
    path = tmp_path / "peers.yaml"
    path.write_text(done.out)
    for words in (("config", "check"), ("status",), ("serve", "--id", "1", "--data-dir", str(tmp_path / "d"))):
        refused = run(*words, "--config", str(path))
        assert refused.code == 6
        assert "keys: missing" in refused.err
        assert f"hfzmq keys init --config {path}" in refused.err
        assert "security: plain" in refused.err


def test_init_writes_no_plain_file_for_a_host_that_others_reach() -> None:
    done = run("config", "init", "--plain", "--host", "10.0.0.1", "--host", "127.0.0.1")
    assert done.code == 2
    assert "10.0.0.1" in done.err


def test_one_host_each_gives_all_the_same_ports_and_one_host_for_all_gives_them_ports_apart() -> None:
    apart = config.parse(
        run("config", "init", "--host", "a", "--host", "b", "--base-port", "9000", "--name", "icu").out,
        unkeyed_is_fine=True,
    )
    assert apart.mesh_name == "icu"
    assert [(peer.host, peer.client_port) for peer in apart.peers] == [("a", 9000), ("b", 9000)]
    together = config.parse(run("config", "init", "--host", "a", "--peers", "5").out, unkeyed_is_fine=True)
    ports = [port for peer in together.peers for port in peer[2:]]
    assert len(set(ports)) == 15


@pytest.mark.parametrize(
    "words",
    [
        ("--peers", "0"),
        ("--peers", "16"),
        ("--peers", "3", "--host", "a", "--host", "b"),
        ("--host", "tcp://a"),
        ("--base-port", "65530"),
        ("--base-port", "0"),
        ("--name", "two words"),
    ],
)
def test_init_refuses_what_it_could_not_read_back(words: tuple[str, ...]) -> None:
    done = run("config", "init", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")


@pytest.mark.parametrize("host", ["::1", "tcp://a", "a b", "0.0.0.0", "a,b", "a: b", ""])
def test_init_says_of_a_host_that_it_is_the_host(host: str) -> None:
    done = run("config", "init", "--host", host)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: Invalid value for '--host': {host!r} is no IPv4 address or host name")
    assert "YAML" not in done.err


def test_one_peer_is_counted_in_the_singular(tmp_path: Path) -> None:
    done = run("config", "check", "--config", str(written(tmp_path, "--peers", "1")))
    assert "mesh ward, 1 peer (1), quorum 1" in done.out


def test_check_says_file_line_key_and_cause(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("lease_ms: 1000", "lease_ms: 10"))
    done = run("config", "check", "--config", str(path))
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if "lease_ms" in text)
    assert done == (
        6,
        "",
        f"error: {path}:{line}: timing.lease_ms: a whole number, 150 to 60000, got 10\n"
        "hint: in milliseconds: 1000 is one second\n",
    )


def test_an_even_number_of_peers_is_allowed_and_told_to_bear_no_more(tmp_path: Path) -> None:
    done = run("config", "check", "--config", str(written(tmp_path, "--peers", "4")))
    assert done.code == 0
    assert "4 peers bear no more failures than 3" in done.err


def test_show_fills_in_the_defaults(tmp_path: Path) -> None:
    path = written(tmp_path)
    full = path.read_text()
    path.write_text(full.split("timing:")[0] + "security: plain\n")
    rules = to_mapping(DEFAULT_RULES)
    told = "".join(f"\n    {name}: {json.dumps(value)}" for name, value in rules.items())
    assert run("config", "show", "--config", str(path)).out == full.replace("  rules: {}", "  rules:" + told)
    value = json.loads(run("config", "show", "--config", str(path), "-o", "json").out)
    assert value["timing"]["lease_ms"] == 1000
    assert value["mesh"]["id"] == config.load(path).mesh_id.hex()
    assert value["peers"][2]["id"] == 3
    assert value["tiers"] == {"amber_from": 0.3, "red_from": 0.6}


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    done = run("config", "show", "--config", str(tmp_path / "none.yaml"))
    assert done.code == 6
    assert "or write one: hfzmq config init > peers.yaml" in done.err


def test_the_environment_names_the_file_where_the_command_line_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFZMQ_CONFIG", str(written(tmp_path, "--name", "from-env")))
    assert "mesh from-env" in run("config", "check").out


def test_the_peers_yaml_of_the_repository_is_right() -> None:
    made = config.load(Path(__file__).resolve().parents[2] / "peers.yaml", unkeyed_is_fine=True)
    assert made.peer_ids == (1, 2, 3)


def test_the_alarms_in_the_peers_yaml_of_the_repository_are_the_defaults_and_right_without_their_comment_signs(
    tmp_path: Path,
) -> None:
    text = (Path(__file__).resolve().parents[2] / "peers.yaml").read_text()
    before, _, after = text.partition("# alarms:")
    section, _, rest = f"# alarms:{after}".partition("\nlog:")
    lines = section.splitlines()
    assert len(lines) > 5
    assert all(line.startswith("# ") for line in lines)
    path = tmp_path / "peers.yaml"
    path.write_text(before + "\n".join(line[2:] for line in lines) + "\nlog:" + rest + "security: plain\n")
    done = run("config", "check", "--config", str(path))
    assert (done.code, done.err) == (0, "")
    made = config.load(path)
    assert [rule.name for rule in made.alarm_rules] == ["silent_ms", "steps_ms", "expected"]
    assert rules_of(made) == DEFAULT_RULES
    assert [channel.name for channel in made.channels] == ["log", "desk"]


ALARMS = """
alarms:
  rules:
    red_on: 0.7
    steps_ms: [0, 30000, 60000]
  channels:
    - {name: log, kind: log}
    - {name: pager, kind: command, argv: [/bin/sh, --key, hunter2], from_step: 2}
    - {name: mail, kind: apprise, url: "mailto://nurse:hunter2@example.org", from_step: 3}
"""


def with_alarms(tmp_path: Path, text: str) -> Path:
    path = written(tmp_path)
    before, _, after = path.read_text().partition("alarms:")
    path.write_text(before + text.strip() + "\nlog:" + after.partition("\nlog:")[2])
    return path


def test_check_takes_the_rules_and_channels_of_alarms(tmp_path: Path) -> None:
    done = run("config", "check", "--config", str(with_alarms(tmp_path, ALARMS)))
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("red_on: 0.7", "red_on: 7", "alarms.rules.red_on: a number above 0, at most 1"),
        ("red_on: 0.7", "red_off: 0.7", "alarms.rules.red_off: below red_on"),
        ("red_on: 0.7", "red: 0.7", "alarms.rules.red: no rule of alarms"),
        ("[0, 30000, 60000]", "[30000, 0]", "alarms.rules.steps_ms: "),
        ("mailto:", "nosuch:", "alarms.channels: mail: a URL that Apprise does not know"),
    ],
)
def test_check_judges_the_rules_and_channels_of_alarms(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = with_alarms(tmp_path, ALARMS.replace(before, after))
    done = run("config", "check", "--config", str(path))
    assert (done.code, done.out) == (6, "")
    assert said in done.err
    assert "hunter2" not in done.err
    if "rules" in said:
        line = path.read_text().splitlines().index(next(x for x in path.read_text().splitlines() if after in x)) + 1
        assert done.err.startswith(f"error: {path}:{line}: ")


def test_check_says_what_is_missing_where_apprise_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = run("config", "check", "--config", str(with_alarms(tmp_path, ALARMS)))
    assert done.code == 1
    assert "[notify]" in done.err


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_show_tells_all_rules_and_no_secret(tmp_path: Path, output: str) -> None:
    done = run("config", "show", "--config", str(with_alarms(tmp_path, ALARMS)), "-o", output)
    assert done.code == 0
    assert "hunter2" not in done.out + done.err
    assert "mailto://..." in done.out
    assert "secrets are left out" in done.err
    if output == "json":
        told = json.loads(done.out)["alarms"]
        assert told["rules"]["red_on"] == 0.7
        assert told["rules"]["silent_ms"] == 30_000
        assert [one["name"] for one in told["channels"]] == ["log", "pager", "mail"]
    else:
        assert "red_on: 0.7" in done.out
        assert "silent_ms: 30000" in done.out
