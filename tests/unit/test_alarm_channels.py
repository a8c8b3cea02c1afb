"""The channels in peers.yaml: what is right is read back, what is wrong refused with its line, and no secret shown."""

from __future__ import annotations

import importlib.util

import pytest

from hfzmq import alarm_channels
from hfzmq.alarm_channels import DEFAULT, Channel, Url, parse_channels, render_channels, require_apprise, used_at
from hfzmq.errors import ConfigError, HfzmqError
from hfzmq.yaml_reader import YamlReader

SECRET = "s3cr3t"
GOOD = f"""\
- {{name: log, kind: log}}
- {{name: desk, kind: bell, from_step: 2}}
- {{name: pager, kind: command, argv: [page, --now, "two words"], from_step: 3, timeout_ms: 500}}
- name: mail
  kind: apprise
  url: "mailto://nurse:{SECRET}@host.example?to=a@b.example"
  retry_for_ms: 0
"""
CHANNELS = (
    Channel("log", "log"),
    Channel("desk", "bell", 2),
    Channel("pager", "command", 3, argv=("page", "--now", "two words"), timeout_ms=500),
    Channel("mail", "apprise", 1, url=Url(f"mailto://nurse:{SECRET}@host.example?to=a@b.example"), retry_for_ms=0),
)


def parse(text: str) -> tuple[Channel, ...]:
    reader = YamlReader("f.yaml")
    return parse_channels(reader, reader.root(text))


def test_a_good_list_becomes_channels_with_defaults_for_what_it_leaves_out() -> None:
    assert parse(GOOD) == CHANNELS
    assert (CHANNELS[3].timeout_ms, CHANNELS[2].retry_for_ms) == (10_000, 900_000)
    assert parse("[]") == ()
    assert parse_channels(YamlReader("f.yaml"), None) == DEFAULT


def test_what_is_rendered_with_its_secrets_is_read_back_and_without_them_shows_none() -> None:
    assert parse("\n".join(render_channels(CHANNELS, secrets=True))) == CHANNELS
    shown = "\n".join(render_channels(CHANNELS, secrets=False))
    assert SECRET not in shown + repr(CHANNELS) + str(CHANNELS[3]._asdict()) + f"{CHANNELS[3].url}"
    assert "mailto://..." in shown
    assert "--now" not in shown + repr(CHANNELS)  # a program's arguments may be secrets too


def test_a_step_uses_the_channels_from_its_own_and_earlier_steps() -> None:
    names = [[channel.name for channel in used_at(CHANNELS, step)] for step in (1, 2, 3)]
    assert names == [["log", "mail"], ["log", "desk", "mail"], ["log", "desk", "pager", "mail"]]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "cause"),
    [
        ("name: log", "name: lo g", 1, "alarms.channels[0].name", "letters, digits"),
        ("name: log", "name: ''", 1, "alarms.channels[0].name", "letters, digits"),
        ("name: desk", "name: log", 2, "alarms.channels[1].name", "log is another channel's name"),
        ("kind: bell", "kind: horn", 2, "alarms.channels[1].kind", "one of log, bell, command, apprise"),
        ("kind: bell, ", "", 2, "alarms.channels[1].kind", "missing"),
        ("from_step: 2", "from_step: 4", 2, "alarms.channels[1].from_step", "a whole number, 1 to 3"),
        ("from_step: 2", "from_step: 0", 2, "alarms.channels[1].from_step", "a whole number, 1 to 3"),
        ("from_step: 2", "url: x://y", 2, "alarms.channels[1].url", "unknown key"),
        ("from_step: 2", "timeout_ms: 100", 2, "alarms.channels[1].timeout_ms", "unknown key"),
        ("from_step: 2", "colour: red", 2, "alarms.channels[1].colour", "unknown key"),
        ("[page, --now, \"two words\"]", "page --now", 3, "alarms.channels[2].argv", "a list of 1 to 64 items"),
        ("[page, --now, \"two words\"]", "[]", 3, "alarms.channels[2].argv", "a list of 1 to 64 items"),
        ("[page, --now, \"two words\"]", "['']", 3, "alarms.channels[2].argv[0]", "printable characters"),
        ("[page, --now, \"two words\"]", "[a, [b]]", 3, "alarms.channels[2].argv[1]", "printable characters"),
        ("[page, --now, \"two words\"]", '[a, "\\0"]', 3, "alarms.channels[2].argv[1]", "printable characters"),
        ("timeout_ms: 500", "timeout_ms: 99", 3, "alarms.channels[2].timeout_ms", "a whole number, 100 to 120000"),
        ("retry_for_ms: 0", "retry_for_ms: -1", 7, "alarms.channels[3].retry_for_ms", "0 to 86400000"),
        ("mailto://nurse", "nurse", 6, "alarms.channels[3].url", "an Apprise URL"),
        ("?to=", " ?to=", 6, "alarms.channels[3].url", "an Apprise URL"),
        ("?to=", "?to=" + "x" * 2048, 6, "alarms.channels[3].url", "an Apprise URL"),
        (f'  url: "mailto://nurse:{SECRET}@host.example?to=a@b.example"\n', "", 4, "alarms.channels[3].url", "missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_line_key_and_cause(
    old: str, new: str, line: int, key: str, cause: str
) -> None:
    assert GOOD.count(old) == 1, old
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert (caught.value.line, caught.value.field) == (line, key), caught.value
    assert str(caught.value).startswith(f"f.yaml:{line}: {key}: ")
    assert cause in str(caught.value)
    assert caught.value.hint
    assert SECRET not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        f"- {{name: a, kind: apprise, url:mailto://u:{SECRET}@h}}",
        f"- {{name: a, kind: apprise, mailto://u:{SECRET}@h: x}}",
        f"- mailto://u:{SECRET}@h",
        f"mailto://u:{SECRET}@h",
        f"- {{name: mailto://u:{SECRET}@h, kind: apprise}}",
        f"- {{name: a, kind: mailto://u:{SECRET}@h}}",
        f"- {{name: a, kind: apprise, url: [mailto://u:{SECRET}@h]}}",
        f"- {{name: a, kind: command, argv: mailto://u:{SECRET}@h}}",
        f"- {{name: a, kind: apprise, url: 'mailto://u:{SECRET}@h', from_step: 'mailto://u:{SECRET}@h'}}",
        f"- {{name: a, kind: apprise, url: u:{SECRET}@h}}",
    ],
)
def test_no_mistake_makes_an_error_show_a_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.line == 1
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.hint}"


def test_a_missing_apprise_is_said_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    require_apprise(CHANNELS[:3])
    with pytest.raises(HfzmqError, match=r"alarms.channels: mail: Apprise is not installed") as caught:
        require_apprise(CHANNELS)
    assert "[notify]" in (caught.value.hint or "")


def test_a_url_that_apprise_does_not_know_is_found_and_never_written_out(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    bad = Channel("bad", "apprise", url=Url(f"nosuch://{SECRET}"))
    assert alarm_channels.unknown_urls([*CHANNELS, bad]) == ["bad"]
    assert SECRET not in caplog.text
