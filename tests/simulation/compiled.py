"""The core and the simulation compiled to machine code by mypyc: the same storms, event for event, three times as fast.

A copy of the sources is compiled in build/; whoever finds that copy first on its path runs it. Campaigns do, and run
every COMPARED-th storm by the interpreter too: where the fingerprints differ, that counts as a violation.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.provenance import CORE, ROOT, provenance
from tests.simulation.sized import Size, Told, replay

COMPARED = 100
SIMULATION = (
    "world",
    "invariants",
    "disk",
    "losses",
    "client",
    "bed",
    "peer",
    "operator",
    "strikes",
    "ailments",
    "storm",
)
COPIED = ("hfzmq/*.py", "hfzmq/core/*.py", "tests/*.py", "tests/simulation/*.py", "setup.cfg", "pyproject.toml")


class CannotCompile(Exception):
    """There is no mypyc or no compiler, or one of them refuses."""


def build(root: Path = ROOT) -> Path:
    """The folder of the compiled copy of the sources as they are now; made if there is none. CannotCompile."""
    folder = root / "build" / f"compiled-{provenance(CORE).source}-{sys.implementation.cache_tag}"
    if folder.exists():
        return folder
    if find_spec("mypyc") is None or shutil.which("cc") is None:
        raise CannotCompile("mypyc (pip install mypy) and a C compiler (cc) are needed")
    for old in folder.parent.glob("compiled-*"):
        shutil.rmtree(old, ignore_errors=True)
    draft = folder.with_name("draft-" + folder.name)
    shutil.rmtree(draft, ignore_errors=True)
    for pattern in COPIED:
        for source in ROOT.glob(pattern):
            (draft / source.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, draft / source.relative_to(ROOT))
    core = sorted(str(path.relative_to(draft)) for path in (draft / "hfzmq" / "core").glob("*.py"))
    command = [sys.executable, "-m", "mypyc", *core, *(f"tests/simulation/{name}.py" for name in SIMULATION)]
    done = subprocess.run(command, cwd=draft, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise CannotCompile(done.stdout[-2000:])
    shutil.rmtree(draft / "build")
    draft.rename(folder)
    return folder


def as_interpreted(told: Told, size: Size, root: str) -> Told:
    """A storm, if the sources at ``root`` run by the interpreter come to the same; else it counts as broken."""
    words = replay(told.seed, size).removesuffix("--trace").split()[1:]
    done = subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=False)
    if f"print {told.fingerprint:08x}" in done.stdout:
        return told
    return told._replace(violation=f"compiled it came to {told.fingerprint:08x}, interpreted to: {done.stdout}")
