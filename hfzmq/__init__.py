"""hfzmq: bedside heart-failure risk, kept by a brokerless ZeroMQ mesh that loses no acknowledged report.

Research software, not a medical device. ``from hfzmq import Client`` is the library's one entry; it is loaded on first
use so that ``import hfzmq`` (and ``hfzmq --help``) stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]

if TYPE_CHECKING:
    from hfzmq.client import Client


def __getattr__(name: str) -> Any:
    if name == "Client":
        from hfzmq.client import Client

        return Client
    raise AttributeError(f"module 'hfzmq' has no attribute {name!r}")
