"""The package as a stranger gets it: built, installed into an empty environment, used elsewhere.

`tox -e package` runs it. It makes no lab: a project of two tests prints its plan, and so does the
example, whose types are checked against the installed package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = """
def test_a_chain_leads_through_its_function(tenant, sfc):
    raise AssertionError("a plan runs no test")


def test_of_no_lab():
    pass
"""
STAGES = ("tools", "images", "nodes", "cloud")


def run(argv: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    """Run a command and return what it printed; what fails ends the check with its output."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(f"$ {' '.join(map(str, argv))}\n{done.stdout}")
    if done.returncode:
        sys.exit(f"exit code {done.returncode}")
    return done.stdout


def check(there: Path) -> None:
    """Build, install and use the package below a folder."""
    dist, project = there / "dist", there / "project"
    project.mkdir()
    run([sys.executable, "-m", "build", "--outdir", dist, ROOT], there)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], there)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "bootstrap", "tox.ini", "docs/index.md"} <= names

    venv.create(there / "venv", with_pip=True)
    programs = there / "venv" / "bin"
    run([programs / "pip", "install", "--quiet", wheel], there)
    (project / "test_chain.py").write_text(TESTS, encoding="utf-8")
    mine = {"KOLLALAB_STATE": str(there / "state"), "KOLLALAB_CACHE": str(there / "cache")}
    said = run([programs / "pytest", "--kollalab-plan", project], project, **mine)
    lines = [line.split() for line in said.splitlines()]
    planned = [words[0] for words in lines if len(words) > 1 and words[1] in ("build", "reuse")]
    assert planned == list(STAGES), planned
    assert "error" not in said.lower()
    assert "kollalab.toml" in run([programs / "kollalab", "schema"], project, **mine)
    assert "no labs" in run([programs / "kollalab", "list"], project, **mine)
    assert "mmdebstrap" in run([programs / "kollalab", "bootstrap", "--list"], project, **mine)

    example = there / "example"
    written = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "examples" / "other-project", example, ignore=written)
    said = run([programs / "pytest", "--kollalab-plan"], example, **mine)
    assert "feature greeter (image greeter, playbook greeter.yml, " in said
    run([programs / "pip", "install", "--quiet", "mypy"], there)
    run([programs / "mypy", "--strict", "."], example)

    # As long as there is no release, most will install it so.
    again = ["--quiet", "--no-deps", "--force-reinstall", f"git+file://{ROOT}"]
    run([programs / "pip", "install", *again], there)
    assert "mmdebstrap" in run([programs / "kollalab", "bootstrap", "--list"], project, **mine)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        check(Path(folder))
