"""Digits five lines tall, to be read from the door.

Touches nothing. Keeps: every character of the number is drawn or none is (ValueError).
"""

from __future__ import annotations

_FONT = {
    "0": "███ █ █ █ █ █ █ ███",
    "1": " █  ██   █   █  ███",
    "2": "███   █ ███ █   ███",
    "3": "███   █ ███   █ ███",
    "4": "█ █ █ █ ███   █   █",
    "5": "███ █   ███   █ ███",
    "6": "███ █   ███ █ █ ███",
    "7": "███   █   █   █   █",
    "8": "███ █ █ ███ █ █ ███",
    "9": "███ █ █ ███   █ ███",
    ".": "                █  ",
}
ROWS, COLUMNS = 5, 3


def big(number: str) -> list[str]:
    """``0.62`` in ROWS lines, two cells wide a dot, so that it is not slim; ValueError for other characters."""
    for character in number:
        if character not in _FONT:
            raise ValueError(f"no large {character!r}")
    rows = []
    for row in range(ROWS):
        dots = (_FONT[character][row * (COLUMNS + 1) : row * (COLUMNS + 1) + COLUMNS] for character in number)
        rows.append("  ".join("".join(dot * 2 for dot in line) for line in dots).rstrip())
    return rows
