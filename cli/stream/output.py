"""A stream's events become lines: JSON for machines, a sentence for people.

Touches stdout and stderr. Keeps: stdout carries events only; single readings and acknowledgements are too many for a
person, who reads what changes, what was wrong, and the sums.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from hfzmq.cli.bedside.output import SAID_ON_STDERR, link_sentence, refused_words
from hfzmq.cli.format import thousands
from hfzmq.clinical.heart_rate import STATUSES

Event = dict[str, Any]


def tell_in_text(event: Event) -> None:
    """One event as a sentence, if it is a person's business."""
    sentence = sentence_of(event)
    if sentence:
        clock = datetime.now().strftime("%H:%M:%S")
        click.echo(f"{clock} {sentence}", err=event["event"] in SAID_ON_STDERR)


def sentence_of(event: Event) -> str:
    """What a person reads of an event; '' for what is none of their business."""
    return summary_of(event) if event["event"] == "summary" else link_sentence(event)


def summary_of(event: Event) -> str:
    """The last line of a run."""
    verdicts: dict[str, dict[str, int]] = event["verdicts"]
    parts = []
    for status in STATUSES:
        of_it = {name.partition("/")[2]: count for name, count in verdicts.items() if name.startswith(f"{status}/")}
        kinds = ", ".join(f"{thousands(count['read'])} {anomaly}" for anomaly, count in of_it.items())
        waiting = verdicts[status]["pending"]
        more = "; ".join(filter(None, (kinds, f"{thousands(waiting)} waiting" if waiting else "")))
        parts.append(f"{thousands(verdicts[status]['read'])} {status}" + (f" ({more})" if more else ""))
    earlier = event["earlier"]
    of_before = (
        f", {thousands(earlier['acked'])} of {thousands(earlier['read'])} of an earlier run among them"
        if earlier["read"]
        else ""
    )
    return (
        f"{thousands(event['readings'])} readings: {', '.join(parts)}; "
        f"{thousands(event['acked'])} acknowledged{of_before}, "
        f"{thousands(event['rejected'])} rejected, {thousands(event['pending'])} waiting on disk; "
        f"{event['elapsed_s']:.1f} s{refused_words(event)}"
    )
