"""A machine of its own for a test: a real systemd as process 1 of new namespaces, over a view of this machine's files.

Nothing outside is changed: what is written goes to a tmpfs that ends with it, and its network is a loopback alone. It
takes root, unshare, overlayfs and systemd (tests/system/install.sh); ``CannotBoot`` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.system.mesh import ROOT, wait_for

SYSTEMD = Path("/lib/systemd/systemd")
PROGRAM = "/opt/hfzmq/bin/hfzmq"  # where docs/operations/units.md has it
KEPT_OFF = ("systemd-udevd", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "getty.target")
NAMESPACES = ("--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup")
HOME = "/srv/operator"
PATH = "/opt/hfzmq/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Process 1 of the new namespaces makes the tree, enters it and becomes systemd. A chroot alone would not do: who is in
# one may make no user namespaces (PrivateUsers). The tree is shared again: in a container systemd leaves that to who
# started it, and credentials come by a mount that must be seen. This interpreter may live where the units hide things.
BOOT = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs {folder}
mkdir {folder}/upper {folder}/work {folder}/root
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root
cd {folder}/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
for unit in {off}; do ln -sf /dev/null etc/systemd/system/$unit; done
rm -rf srv/checkout srv/python srv/packages {home} opt/hfzmq
mkdir -p srv/checkout srv/python srv/packages {home} opt/hfzmq/bin
mount --rbind {checkout} srv/checkout
mount --rbind {python} srv/python
mount --rbind {packages} srv/packages
cat > {program} <<'END'
#!/bin/sh
export PYTHONPATH=/srv/checkout:/srv/packages LD_LIBRARY_PATH=/srv/python/lib
exec /srv/python/bin/python{version} -m hfzmq "$@"
END
chmod 755 {program}
ip link set lo up
mkdir before
pivot_root . before
umount -l before
mount --make-rshared /
exec chroot . /usr/bin/env -i container=other PATH={path} {systemd} --unit=multi-user.target --show-status=0
"""


class CannotBoot(Exception):
    """This machine does not let a second systemd run; why."""


class Booted:
    """The running machine, and commands in it. ``folder``: an empty one; its content is not seen outside."""

    def __init__(self, folder: Path) -> None:
        for program in ("unshare", "nsenter", "pivot_root", "ip", "systemctl"):
            if not shutil.which(program):
                raise CannotBoot(f"there is no {program}")
        if os.geteuid() or not SYSTEMD.exists():
            raise CannotBoot("it takes root and systemd")
        script = BOOT.format(
            folder=folder, checkout=ROOT, python=sys.base_prefix, packages=sysconfig.get_path("purelib"),
            version=f"{sys.version_info[0]}.{sys.version_info[1]}", program=PROGRAM[1:], home=HOME[1:], path=PATH,
            systemd=SYSTEMD, off=" ".join(map(_unit, KEPT_OFF)),
        )  # fmt: skip
        self._told = (folder.parent / f"{folder.name}.boot").open("w+b")
        self._outer = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=self._told, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._first = 0

    def __enter__(self) -> Booted:
        try:
            self._first = wait_for("the namespaces", self._process_one, 30)
            wait_for("systemd is up", self._is_up, 60)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number in (self._first, self._outer.pid):
            with suppress(ProcessLookupError):
                if number:
                    os.kill(number, signal.SIGKILL)
        self._outer.wait(30)
        self._told.close()

    def run(self, *words: object, ok: bool = True, within_s: float = 60.0) -> str:
        """What a command in there prints; AssertionError with its words when it fails and ``ok``."""
        namespaces = ("-p", "-m", "-u", "-i", "-n", "-C")
        fresh = ("/usr/bin/env", "-i", "-C", HOME, f"PATH={PATH}", f"HOME={HOME}", "LC_ALL=C.UTF-8")
        done = subprocess.run(
            ["nsenter", "-t", str(self._first), *namespaces, *fresh, *map(str, words)],
            cwd="/", capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip
        assert not ok or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, script: str) -> str:
        """Several lines of commands; the first that fails ends it."""
        return self.run("sh", "-euc", script)

    def _process_one(self) -> int:
        if self._outer.poll() is not None:
            self._told.seek(0)
            raise CannotBoot(self._told.read().decode(errors="replace").strip()[-500:])
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _is_up(self) -> bool:
        self._process_one()
        if os.readlink(f"/proc/{self._first}/exe") != str(SYSTEMD.resolve()):
            return False
        return self.run("systemctl", "is-system-running", ok=False).strip() in ("running", "degraded")


def _unit(name: str) -> str:
    return name if "." in name else f"{name}.service"
