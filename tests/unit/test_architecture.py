"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("hfzmq", "daemon", "cli", "model")
LINES_MAX = 400
NO_WORLD = {"zmq", "apsw", "sqlite3", "msgpack", "socket", "time", "datetime", "threading", "logging", "os", "io",
            "asyncio", "select", "subprocess", "tempfile", "pathlib"}  # fmt: skip

# hfzmq/daemon, hfzmq/cli and hfzmq/model are links to the folders beside hfzmq/: each file is looked at once.
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.relative_to(ROOT).parents if parent != Path())
    and not any((ROOT / parent).is_symlink() for parent in path.relative_to(ROOT).parents)
)
CORE = [path for path in MODULES if path.parent == ROOT / "hfzmq" / "core"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_the_files_were_found_each_once() -> None:
    names = [name_of(path) for path in MODULES]
    assert len(set(names)) == len(names) == len({path.resolve() for path in MODULES})
    for one in ("hfzmq/core/replica.py", "daemon/node.py", "cli/main.py", "model/inference.py"):
        assert one in names
    assert len(CORE) > 10


def test_every_floor_imports_only_the_floors_below_it() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed (extra 'dev')")
    done = subprocess.run(
        [str(linter), "--config", "setup.cfg", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 4 kept, 0 broken." in done.stdout, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_in_its_first_line_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_is_too_long_to_be_one_thing(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_no_socket_clock_disk_logger_or_thread(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & NO_WORLD


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_no_medicine_and_no_wire(path: Path) -> None:
    inside = {name for name in imported(path) if name.startswith("hfzmq")}
    assert all(name.startswith(("hfzmq.core", "hfzmq.settings")) for name in inside), inside


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_draws_chance_only_from_the_random_it_is_handed(path: Path) -> None:
    random = {name for name in imported(path) if name.split(".")[0] in ("random", "secrets", "uuid")}
    assert random <= {"random", "random.Random"}


def test_only_the_wire_names_msgpack() -> None:
    naming = [path for path in MODULES if any(name.split(".")[0] == "msgpack" for name in imported(path))]
    assert naming
    yardstick = ROOT / "cli" / "bench" / "sketch.py"  # which is to have nothing of hfzmq
    assert all(path.parent == ROOT / "hfzmq" / "wire" for path in naming if path != yardstick), naming


def test_the_yardstick_of_the_bench_has_nothing_of_hfzmq() -> None:
    assert not [name for name in imported(ROOT / "cli" / "bench" / "sketch.py") if name.startswith("hfzmq")]


def test_nobody_imports_daemon_cli_or_model_by_their_own_name() -> None:
    for path in MODULES:
        assert not {name.split(".")[0] for name in imported(path)} & {"daemon", "cli", "model"}, name_of(path)


def test_importing_hfzmq_is_quick_for_it_brings_neither_zmq_nor_numpy() -> None:
    heavy = ("zmq", "numpy", "apsw", "msgpack", "rich", "click", "yaml", "tensorflow")
    code = f"import hfzmq, sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_version_can_be_read_without_the_client_and_the_client_is_there_when_asked_for() -> None:
    code = "import hfzmq, sys; hfzmq.__version__; print('zmq' in sys.modules); print(hfzmq.Client.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "Client"]
