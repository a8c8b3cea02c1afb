"""Bugs on purpose: one small change of a module's text, made in memory as the module is imported.

``plant`` is for the process that runs with the bug, before the module is there; ``look_for`` starts such a process,
one of the ``planting`` modules, and reads what it found: one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any, Protocol

from tests.provenance import ROOT


class Change(Protocol):
    """A bug: its name, its file from the root of the repository, the text that stands there once, and its stand-in."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def good(self) -> str: ...
    @property
    def bad(self) -> str: ...


def plant(bug: Change) -> None:
    """From here on this process imports the bug's module with the bug in it; RuntimeError when it is here already."""
    finder = _Finder(bug)
    if finder.module in sys.modules:
        raise RuntimeError(f"{finder.module} is here already: too late for {bug.name!r}")
    sys.meta_path.insert(0, finder)


def look_for(module: str, *arguments: str, seconds_max: float) -> dict[str, Any] | None:
    """What ``python -m module ...`` says it found; None when that took too long. RuntimeError when it failed."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds_max, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class _Loader(SourceFileLoader):
    """Reads a module's text as it would be with the bug in it."""

    bug: Change

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew each time: nothing of it is cached."""
        text = self.get_data(self.path).decode()
        if text.count(self.bug.good) != 1:
            raise ValueError(f"{self.bug.name}: its text stands {text.count(self.bug.good)} times in {self.bug.path}")
        return compile(text.replace(self.bug.good, self.bug.bad), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the one module that the bug is in."""

    def __init__(self, bug: Change) -> None:
        self._bug = bug
        self.module = bug.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The real module's spec with the text changed; None for all other modules."""
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
        assert spec is not None
        assert spec.origin is not None
        spec.loader = loader = _Loader(fullname, spec.origin)
        loader.bug = self._bug
        return spec
