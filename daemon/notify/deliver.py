"""One attempt to deliver one notice: the bell, a command, an Apprise URL. Runs in the channel's own process.

Touches the terminal, other programs, the network. Must not know: queues, retries, time limits (whoever started this
process ends it). Keeps: why an attempt failed is said in words of this file, never in another's, for theirs may hold
the URL with its secrets; every notice carries its episode and step in a form that a receiver's program can read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from hfzmq.alarm_channels import APPRISE, BELL, COMMAND, INSTALL, Channel, Url
from hfzmq.clinical.alarm.types import RED
from hfzmq.daemon.notify.lines import Message

TERMINAL = "/dev/tty"
PREFIX = "HFZMQ_ALARM_"
WEBHOOKS = ("json", "jsons", "form", "forms", "xml", "xmls")
MAIL = ("mailto", "mailtos")

_CAUSES = {  # what is looked for in Apprise's own log, in lower case, and what is said of it
    "connection refused": "the connection was refused",
    "timed out": "no answer in time",
    "name or service not known": "the host's name is not known",
    "name resolution": "the host's name cannot be looked up",
    "nodename nor servname": "the host's name is not known",
    "no route to host": "there is no route to the host",
    "network is unreachable": "the network cannot be reached",
    "certificate verify failed": "the host's certificate is not trusted",
    "authentication": "the host does not accept who we say we are",
}


class Outcome(NamedTuple):
    """``final``: trying again cannot help."""

    ok: bool
    why: str = ""
    final: bool = False


Deliver = Callable[[Message], Outcome]


def prepare(channel: Channel) -> Deliver:
    """What delivers a notice (the map of a Notice) by ``channel``; loads what that needs."""
    if channel.kind == BELL:
        return lambda notice: ring()
    if channel.kind == COMMAND:
        return lambda notice: run(channel.argv, notice)
    assert channel.kind == APPRISE
    assert channel.url
    return _apprise(channel.url)


def ring(terminal: str = TERMINAL) -> Outcome:
    """Ring the bell of the terminal that this process belongs to."""
    try:
        with open(terminal, "wb", buffering=0) as opened:
            opened.write(b"\a")
    except OSError:
        return Outcome(False, "there is no terminal", final=True)
    return Outcome(True)


def run(argv: tuple[str, ...], notice: Message) -> Outcome:
    """Run a program without a shell, in this process's group: the notice as JSON on stdin and in HFZMQ_ALARM_*."""
    about = {PREFIX + key.upper(): str(value).replace("\0", "?") for key, value in notice.items()}
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, **about},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Outcome(False, f"it cannot be run: {getattr(error, 'strerror', None) or type(error).__name__}")
    process.communicate(json.dumps(notice).encode() + b"\n")
    code = process.returncode
    return Outcome(code == 0, "" if code == 0 else f"it ended with {code}" if code > 0 else f"signal {-code} ended it")


# ------------------------------------------------------------ Apprise


def _apprise(url: Url) -> Deliver:
    try:
        import apprise
    except ImportError:
        return lambda notice: Outcome(False, f"Apprise is not installed: {INSTALL}", final=True)
    heard = _Listener()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [heard], False
    logger.setLevel(logging.DEBUG)

    def deliver(notice: Message) -> Outcome:
        heard.words.clear()
        sender = apprise.Apprise()
        if not sender.add(marked(url, notice)):
            return Outcome(False, f"Apprise does not take this {url} URL", final=True)
        kind = apprise.NotifyType.FAILURE if notice["cause"] == RED else apprise.NotifyType.WARNING
        ok = sender.notify(
            body=notice["body"], title=notice["title"], notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
        return Outcome(True) if ok else Outcome(False, _why(heard.words))

    return deliver


def marked(url: Url, notice: Message) -> str:
    """The URL with the marks in it: fields of a webhook's body, headers of a mail (which make one thread of an
    episode's mails). Other services have the mark in the title alone."""
    episode, step, mesh = str(notice["episode_id"]), str(notice["step"]), str(notice["mesh"])
    if url.scheme in WEBHOOKS:
        marks = {":episode_id": episode, ":step": step, ":mesh": mesh}
    elif url.scheme in MAIL:
        thread = f"<hfzmq.episode.{episode}@{re.sub('[^A-Za-z0-9-]', '-', mesh) or 'mesh'}>"
        marks = {"+References": thread, "+X-Hfzmq-Episode": episode, "+X-Hfzmq-Step": step}
    else:
        return url.whole
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in marks.items())
    return f"{url.whole}{'&' if '?' in url.whole else '?'}{query}"


class _Listener(logging.Handler):
    """Apprise tells only its log why something failed."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage().lower())


def _why(words: list[str]) -> str:
    text = "\n".join(words)
    answer = re.search(r"error=([1-5][0-9]{2})\b", text)
    if answer:
        return f"the host answered {answer[1]}"
    return next((said for cause, said in _CAUSES.items() if cause in text), "Apprise could not deliver it")
