"""Mistakes in peers.yaml."""

from __future__ import annotations

from tests.mistakes.bench import Bench, Made
from tests.mistakes.chapter import Chapter

CHAPTER = Chapter("peers.yaml")
mistake = CHAPTER.mistake
CHECK = ("config", "check")


@mistake("there is no such file", 6, "peers.yaml")
def missing(at: Bench) -> Made:
    at.file.unlink()
    return at.hfzmq("status")


@mistake("the file of --config is a directory", 6, "keys")
def directory(at: Bench) -> Made:
    return at.hfzmq("config", "check", "--config", "keys")


@mistake("it is empty", 6, "peers.yaml", "nothing in it")
def empty(at: Bench) -> Made:
    at.write("peers.yaml", "")
    return at.hfzmq(*CHECK)


@mistake("a quotation mark is not closed", 6, "peers.yaml:", "line 3")
def quotation(at: Bench) -> Made:
    at.file.write_text(at.file.read_text().partition("\nkeys:")[0] + "\nsecurity: plain\n")
    at.edit("name: ward", 'name: "ward')
    return at.hfzmq(*CHECK)


@mistake("a tab instead of spaces", 6, "peers.yaml:7", "tab")
def tab(at: Bench) -> Made:
    at.edit("^  - {id: 2", "\t- {id: 2")
    return at.hfzmq(*CHECK)


@mistake("a colon without a space behind it", 6, "peers.yaml:")
def colon(at: Bench) -> Made:
    at.edit("lease_ms: 1000.*", "lease_ms:1000")
    return at.hfzmq(*CHECK)


@mistake("saved by a word processor in another encoding", 6, "peers.yaml:3", "UTF-8")
def latin(at: Bench) -> Made:
    at.file.write_bytes(at.file.read_bytes().replace(b"name: ward", "name: Bäder".encode("latin-1")))
    return at.hfzmq(*CHECK)


@mistake("a key that is nearly right", 6, "peers.yaml:10", "timing.lease", "unknown key")
def near_miss(at: Bench) -> Made:
    at.edit("lease_ms: 1000", "lease: 1000")
    return at.hfzmq(*CHECK)


@mistake("a section that is nearly right", 6, "peers.yaml:", "tier", "unknown key")
def near_section(at: Bench) -> Made:
    at.edit("^tiers:", "tier:")
    return at.hfzmq(*CHECK)


@mistake("a key given twice", 6, "peers.yaml:11", "timing.lease_ms", "twice")
def twice(at: Bench) -> Made:
    at.edit("  lease_ms: 1000", "  lease_ms: 900\n  lease_ms: 1000")
    return at.hfzmq(*CHECK)


@mistake("two peers with one id", 6, "peers.yaml:7", "peers[1].id", "line 6")
def duplicate_id(at: Bench) -> Made:
    at.edit("- {id: 2", "- {id: 1")
    return at.hfzmq(*CHECK)


@mistake("two peers with one port on one host", 6, "peers.yaml:7", "client_port", "127.0.0.1:7100")
def duplicate_port(at: Bench) -> Made:
    first, second = at.config.peers[:2]
    at.edit(f"client_port: {second.client_port}", f"client_port: {first.client_port}")
    return at.hfzmq(*CHECK)


@mistake("a port that is no port", 6, "peers.yaml:6", "client_port", "1 to 65535", "71000")
def no_port(at: Bench) -> Made:
    at.edit(r"client_port: \d+", "client_port: 71000")
    return at.hfzmq(*CHECK)


@mistake("the host with its port", 6, "peers.yaml:6", "peers[0].host", "10.0.0.1:7100")
def host_with_port(at: Bench) -> Made:
    at.edit("host: 127.0.0.1", 'host: "10.0.0.1:7100"')
    return at.hfzmq(*CHECK)


@mistake("a peer without a host", 6, "peers.yaml:6", "peers[0].host", "missing")
def no_host(at: Bench) -> Made:
    at.edit("host: 127.0.0.1, ", "")
    return at.hfzmq(*CHECK)


@mistake("an id of a mesh that was shortened", 6, "peers.yaml:4", "mesh.id", "32", "c0ffee")
def short_mesh_id(at: Bench) -> Made:
    at.edit("id: [0-9a-f]{32}", "id: c0ffee")
    return at.hfzmq(*CHECK)


@mistake("heartbeats as rare as the lease is long", 6, "peers.yaml:11", "heartbeat_ms", "200", "1000")
def heartbeat(at: Bench) -> Made:
    at.edit(r"heartbeat_ms: \d+", "heartbeat_ms: 1000")
    return at.hfzmq(*CHECK)


@mistake("a lease in seconds", 6, "peers.yaml:10", "lease_ms", "150 to 60000", "1")
def lease_in_seconds(at: Bench) -> Made:
    at.edit("lease_ms: 1000", "lease_ms: 1")
    return at.hfzmq(*CHECK)


@mistake("the tiers swapped", 6, "peers.yaml:14", "tiers.amber_from", "0.3", "0.6")
def tiers(at: Bench) -> Made:
    at.edit("amber_from: 0.3", "amber_from: 0.6")
    at.edit("red_from: 0.6", "red_from: 0.3")
    return at.hfzmq(*CHECK)


@mistake("a tier as a percentage", 6, "peers.yaml:15", "tiers.red_from", "between 0 and 1", "60")
def percentage(at: Bench) -> Made:
    at.edit("red_from: 0.6", "red_from: 60")
    return at.hfzmq(*CHECK)


@mistake("a rule of alarms that does not exist", 6, "peers.yaml:", "alarms.rules.silence_ms")
def rule_name(at: Bench) -> Made:
    at.edit(r"  rules: {}", "  rules: {silence_ms: 60000}")
    return at.hfzmq(*CHECK)


@mistake("a rule of alarms out of bounds", 6, "peers.yaml:", "alarms.rules.silent_ms", "1000 ms or more", "got 5")
def rule_value(at: Bench) -> Made:
    at.edit(r"  rules: {}", "  rules: {silent_ms: 5}")
    return at.hfzmq(*CHECK)


@mistake("an alarm that is over before it begins", 6, "peers.yaml:", "alarms.rules.red_o")
def rule_relation(at: Bench) -> Made:
    at.edit(r"  rules: {}", "  rules: {red_on: 0.5, red_off: 0.7}")
    return at.hfzmq(*CHECK)


@mistake("a channel of a kind that does not exist", 6, "peers.yaml:", "alarms.channels[0].kind", "mail")
def channel_kind(at: Bench) -> Made:
    at.edit(r"- {name: log, kind: log, from_step: 1}", "- {name: desk, kind: mail, from_step: 1}")
    return at.hfzmq(*CHECK)


@mistake("a channel's program without its path in a list", 6, "peers.yaml:", "alarms.channels[0].argv")
def channel_argv(at: Bench) -> Made:
    at.edit(r"- {name: log, kind: log, from_step: 1}", "- {name: pager, kind: command, argv: /usr/bin/page --now}")
    return at.hfzmq(*CHECK)


@mistake("a URL that Apprise does not know", 6, "peers.yaml", "alarms.channels", "mail")
def channel_url(at: Bench) -> Made:
    at.edit(r"- {name: log, kind: log, from_step: 1}", '- {name: mail, kind: apprise, url: "mial://op@example.org"}')
    return at.hfzmq(*CHECK)


@mistake("neither keys nor plain", 6, "peers.yaml", "keys")
def no_security(at: Bench) -> Made:
    at.file.write_text(at.file.read_text().partition("\nkeys:")[0] + "\n")
    return at.hfzmq(*CHECK)


@mistake("plain over a network", 6, "peers.yaml:", "security", "10.0.0.2", "line 7")
def plain(at: Bench) -> Made:
    at.file.write_text(at.file.read_text().partition("\nkeys:")[0] + "\nsecurity: plain\n")
    at.edit("id: 2, host: 127.0.0.1", "id: 2, host: 10.0.0.2")
    return at.hfzmq(*CHECK)


@mistake("a public key that was cut while it was copied", 6, "peers.yaml:", "keys.peers.1")
def cut_key(at: Bench) -> Made:
    at.edit(r'(1: "[^"]{30})[^"]*"', r'\1"')
    return at.hfzmq(*CHECK)


@mistake("a base port that leaves no room", 2, "--base-port")
def base_port(at: Bench) -> Made:
    return at.hfzmq("config", "init", "--base-port", "65530")


@mistake("more hosts than peers", 2, "2 hosts for 3 peers")
def hosts(at: Bench) -> Made:
    return at.hfzmq("config", "init", "--peers", "3", "--host", "10.0.0.1", "--host", "10.0.0.2")


@mistake("an option of another command", 2, "--data-dir")
def option(at: Bench) -> Made:
    return at.hfzmq("status", "--data-dir", "data")


@mistake("a command that is misspelt", 2, "sattus")
def command(at: Bench) -> Made:
    return at.hfzmq("sattus")
