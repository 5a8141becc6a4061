"""Debian's Python for the tools, for real: fetched, made to run here, and a base for packages."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages import tools_python
from pytest_kollalab.stages.tools_python import ToolsPython
from pytest_kollalab.system.run import run

# With libraries of Debian's that extension modules of the standard library need.
MODULES = "bz2, ctypes, lzma, readline, sqlite3, ssl, sys, uuid, zlib"


def test_it_runs_with_its_own_libraries_and_starts_programs_of_the_host(tmp_path: Path) -> None:
    release = releases.get("2026.2")
    wanted = ToolsPython(release.python, f"debian {release.suite}")
    venv, log = tmp_path / "venv", tmp_path / "log"
    tools_python.make_venv(wanted, venv, Options().mirror, log)
    python = venv / "bin" / "python"
    told = run([python, "-c", f"import {MODULES}; print(sys.version_info[:2], sys.prefix)"])
    assert told.stdout.split() == ["(3,", f"{release.python.partition('.')[2]})", str(venv)]
    maps = run([python, "-c", f"import {MODULES}; print(open('/proc/self/maps').read())"]).stdout
    libraries = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    assert libraries
    assert all(path.startswith(f"{venv}/") for path in libraries), libraries
    started = "import subprocess; print(subprocess.check_output(['sh', '-c', 'cat /proc/$$/maps']))"
    assert str(venv) not in run([python, "-c", started]).stdout
    run([python, "-m", "pip", "--version"])
    assert not list(tmp_path.glob("python*"))
