"""Plants one bug in this process's own copy of the core, in memory, and runs storms until one of them finds it.

``python -m tests.simulation.planting BUG FIRST COUNT`` prints one line of JSON. Started by ``planted``; imports nothing
of the core before the bug is in its place.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType

from tests.simulation.bugs import BUGS, OPEN, Bug


class _Loader(SourceFileLoader):
    """Reads a module's text as it would be with the bug in it."""

    bug: Bug

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew each time: nothing of it is cached."""
        text = self.get_data(self.path).decode()
        if text.count(self.bug.good) != 1:
            raise ValueError(f"{self.bug.name}: its text stands {text.count(self.bug.good)} times in {self.bug.path}")
        return compile(text.replace(self.bug.good, self.bug.bad), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the one module that the bug is in."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._module = bug.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The real module's spec with the text changed; None for all other modules."""
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
        assert spec is not None
        assert spec.origin is not None
        spec.loader = loader = _Loader(fullname, spec.origin)
        loader.bug = self._bug
        return spec


def main(name: str, first: int, count: int) -> None:
    """Run storms ``first`` to ``first + count - 1`` with the bug in; say which found it, and how."""
    bug = next(bug for bug in (*BUGS, *OPEN) if bug.name == name)
    assert not any(module.startswith(("hfzmq.core", "tests.simulation.disk")) for module in sys.modules), "too late"
    sys.meta_path.insert(0, _Finder(bug))
    run = importlib.import_module("tests.simulation.storm").run
    for seed in range(first, first + count):
        violation = run(seed).violation
        if violation:
            json.dump({"seed": seed, "violation": violation}, sys.stdout)
            return
    json.dump({"seed": None, "violation": None}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
