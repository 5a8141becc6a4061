"""The stage `tools`: a virtual environment with kolla, kolla-ansible and Ansible."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_kollalab.engine.garbage import Delete, InUse, Item, Searches, is_held, size_of
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.releases import pypi, releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room, tools_python
from pytest_kollalab.system import debian
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import run

# Neither Kolla nor Kolla-Ansible depends on it; this project adds it.
MITOGEN = "mitogen==0.3.54"
PROGRAMS = ("ansible-playbook", "kolla-ansible", "kolla-build", "python")


@dataclass(frozen=True, kw_only=True)
class ToolsMade(Made):
    """The result of the stage `tools`: a virtual environment."""

    stage: ClassVar[str] = "tools"
    venv: Path


class ToolsStage(Stage[ToolsMade]):
    """Installs the packages that the release's `tools.txt` pins."""

    makes = ToolsMade
    name = "tools"
    shared = True
    version = 1

    def __init__(self, config: Config, options: Options, paths: Paths) -> None:
        self.release = releases.get(config.release)
        self.mirror = options.mirror
        self.root = paths.cache / "tools"
        self.paths = paths

    def inputs(self) -> Inputs:
        """The release, its pinned packages, and the version of Python and where it is from."""
        pins = (self.release.data / "tools.txt").read_bytes()
        return {
            "release": self.release.name,
            "mitogen": MITOGEN,
            "pins": hashlib.sha256(pins).hexdigest(),
            **tools_python.choose(self.release).inputs,
        }

    def check_sources(self) -> None:
        """Ask the Debian mirror for the suite, if the Python of the tools is fetched from it."""
        if tools_python.choose(self.release).path is None:
            debian.check_mirror(self.release.suite, self.mirror)

    def room(self) -> dict[str, int]:
        """The disk space in bytes for a virtual environment."""
        return {room.CACHE: room.GIB // 2}

    def garbage(self, used: InUse, older_than: float) -> Searches:
        """Searches for virtual environments that nothing uses."""
        return {"tools": lambda: self._unused(used, older_than)}

    def gone(self, made: ToolsMade) -> str | None:
        """Why a program is missing, for example because its Python was removed, or None."""
        folder = made.venv / "bin"
        missing = [name for name in PROGRAMS if not (folder / name).exists()]
        return f"{missing[0]} is not in {folder}" if missing else None

    def create(self, work: Work) -> ToolsMade:
        """Make the virtual environment at its final path, which its scripts contain."""
        venv = self.root / work.key
        shutil.rmtree(venv, ignore_errors=True)
        work.undo.callback(shutil.rmtree, venv, ignore_errors=True)
        python = venv / "bin" / "python"
        secrets = pypi.of_images().secrets
        pins = self.release.data / "tools.txt"
        try:
            chosen = tools_python.choose(self.release)
            if why := tools_python.reason(self.release):
                work.say(why)
            tools_python.make_venv(chosen, venv, self.mirror, work.log)
            point("tools:venv-made")
            install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", pypi.UV]
            run(install, log_file=work.log, secrets=secrets)
            run(
                [venv / "bin" / "uv", "pip", "install", "--python", python, "-r", pins, MITOGEN],
                env=pypi.configured(python).environment() | {"UV_PYTHON_DOWNLOADS": "never"},
                log_file=work.log,
                secrets=secrets,
                on_line=lambda _: point("tools:installing"),
            )
        except CommandError as error:
            raise StageError(
                f"the tools of release {self.release.name} could not be installed",
                details=error.details,
                hint="is the package index reachable? pip's settings on this host are used for it",
                log=work.log,
            ) from error
        return ToolsMade(venv=venv)

    def destroy(self, work: Work) -> None:
        """Remove the virtual environment."""
        if work.key:
            shutil.rmtree(self.root / work.key, ignore_errors=True)

    def _unused(self, used: InUse, older_than: float) -> Iterator[Item]:
        lock = self.paths.shared_lock(self.name)
        if is_held(lock):
            return
        for folder in sorted(self.root.glob("*")):
            age = time.time() - folder.stat().st_mtime
            if folder.name not in used.of(self.name) and age >= older_than:
                why = "tools that no release of this version and no lab uses"
                record = self.paths.shared(self.name) / "records" / f"{folder.name}.json"
                remove = Delete([folder, record], lock)
                yield Item("tools", folder.name, why, age, size_of(folder), remove)
