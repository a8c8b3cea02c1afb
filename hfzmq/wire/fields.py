"""Maps of msgpack, taken apart without trust: typed values out of a request, the field that is wrong by name.

Touches nothing. Must not know: which operations there are. Keeps: nothing but WireError is raised; a request is one
flat map of few keys, so that it cannot make this process allocate much more than it weighs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from hfzmq.clinical.report import is_legible
from hfzmq.errors import WireError

VERSION = 1  # of what clients and peers say to each other
SHOWN_CHARS_MAX = 40  # of a stranger's key, in an error
_KEYS_MAX = 16  # of a request's map
_UNPACK_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException)
_PACK_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.PackException)


class Fields:
    """A request's ``values``, taken by name and type; WireError names the one that is missing or wrong."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def only(self, *known: tuple[str, ...]) -> None:
        """Refuse any other key."""
        names = tuple(name for group in known for name in group)
        for key in self.values:
            if key not in names:
                raise WireError(shown(key), "unknown key", hint="known: " + ", ".join(names))

    def get(self, name: str) -> Any:
        """The value, of any type."""
        if name not in self.values:
            raise WireError(name, "missing")
        return self.values[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number (a bool is none), ``low`` to ``high``."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WireError(name, f"a whole number, {low} to {high}")
        return value

    def text(self, name: str, least: int, most: int) -> str:
        """Printable text of ``least`` to ``most`` characters."""
        value = self.get(name)
        if not isinstance(value, str) or not least <= len(value) <= most or not is_legible(value):
            raise WireError(name, f"text of {least} to {most} printable characters")
        return value

    def binary(self, name: str, length: int | None = None) -> bytes:
        """Bytes, of exactly ``length`` unless that is None."""
        value = self.get(name)
        if not isinstance(value, bytes) or (length is not None and len(value) != length):
            raise WireError(name, "bytes" if length is None else f"{length} bytes", hint="msgpack bin, not str")
        return value


def request_map(frame: bytes) -> dict[str, Any]:
    """A request is one flat map: no arrays, no maps inside, few keys. (Rows travel as bytes and are unpacked apart.)"""

    def flat(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise WireError("message", "each key once")
        for key, value in pairs:
            if isinstance(value, dict):
                raise WireError(shown(key), "no map inside a request")
        return values

    try:
        values = msgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=True,
            max_map_len=_KEYS_MAX,
            max_array_len=0,
            max_ext_len=0,
            object_pairs_hook=flat,
        )
    except WireError:
        raise
    except _UNPACK_ERRORS as error:
        raise WireError("message", "one flat msgpack map, no more and no less", hint=str(error)[:80]) from None
    return _string_keys(values)


def flat_pairs(pairs: bytes, keys: Sequence[str]) -> list[Any] | None:
    """The values of ``keys`` (15 // 2 at most) in what follows a map's head, if it holds exactly these, in their order,
    and no array among the values: taken apart as one flat array, which takes a third of a map's time. None else."""
    try:
        values: list[Any] = msgpack.unpackb(
            bytes((0x90 | 2 * len(keys),)) + pairs,  # an array of so many items, up to 15
            raw=False,
            max_array_len=2 * len(keys),
            max_map_len=0,
            max_ext_len=0,
            list_hook=arrays_at_most(1),
        )
    except _UNPACK_ERRORS:
        return None
    return values[1::2] if values[::2] == list(keys) else None


def arrays_at_most(most: int) -> Callable[[list[Any]], list[Any]]:
    """A hook for msgpack that lets so many arrays pass, innermost first, and ends the work with ValueError at one more:
    what is nested then takes no memory, and a flat array is seen to be one without a look at its items."""
    left = most

    def count(items: list[Any]) -> list[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"more than {most} arrays")
        return items

    return count


def reply_map(frame: bytes) -> dict[str, Any]:
    """An answer is one map with text keys; peers are trusted with its size and nesting."""
    try:
        values = msgpack.unpackb(frame, raw=False, strict_map_key=True, max_ext_len=0)
    except _UNPACK_ERRORS as error:
        raise WireError("message", "one msgpack map, no more and no less", hint=str(error)[:80]) from None
    return _string_keys(values)


def _string_keys(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise WireError("message", "a msgpack map with text keys")
    return values


def pack(value: object) -> bytes:
    """``value`` as msgpack; WireError when it cannot be carried."""
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True)
    except _PACK_ERRORS as error:
        raise WireError("message", "values that msgpack can carry", hint=str(error)[:80]) from None
    return packed


def shown(key: object) -> str:
    """A stranger's key, short and printable enough for an error message."""
    text = key if isinstance(key, str) else repr(key)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
