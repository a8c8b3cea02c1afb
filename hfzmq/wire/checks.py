"""One value of a peer's message at a time: of the right type and within its bounds, or WireError with its name.

Touches nothing. Must not know: which messages there are.
"""

from __future__ import annotations

from typing import Any

from hfzmq.errors import WireError

U63 = (1 << 63) - 1


def is_int(value: Any) -> bool:
    """A whole number; a bool is none."""
    return type(value) is int


def integer(value: Any, field: str, most: int = U63, least: int = 0) -> int:
    """A whole number from ``least`` to ``most``."""
    if type(value) is not int or not least <= value <= most:
        raise WireError(field, f"a whole number from {least}" + (f" to {most}" if most < U63 else ""))
    return value


def boolean(value: Any, field: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise WireError(field, "true or false")
    return value


def binary(value: Any, field: str, length: int) -> bytes:
    """Exactly ``length`` bytes."""
    if type(value) is not bytes or len(value) != length:
        raise WireError(field, f"{length} bytes")
    return value
