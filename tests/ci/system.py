"""A system of CI: what it does for a job beside running its scripts."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from tests.ci.host import HOME, PROJECT, Host
from tests.ci.templates import Job

ROOT = Path(__file__).parents[2]
# It is as old as the job.
STARTED = HOME / "started"
WHEELS = HOME / "wheels"
TEST = re.compile(r"^```python\n(def test_.*?)^```", re.MULTILINE | re.DOTALL)
APT = "sudo apt-get -q update && sudo apt-get -q install --yes --no-install-recommends python3-venv"
# What each system gives a job before its first script.
GIVEN = {
    "github": f"{APT} && python3 -m venv {HOME}/python",
    "gitlab": "true",
    "zuul": f"{APT} && python3 -m venv {HOME}/ansible"
    f" && {HOME}/ansible/bin/pip install -q ansible-core"
    f" && mkdir -p {HOME}/zuul-output/logs {HOME}/zuul-output/artifacts",
}
PATHS = {"github": f"{HOME}/python/bin", "gitlab": "", "zuul": f"{HOME}/ansible/bin"}
# The user of GitHub's and Zuul's machines is another one than root.
USERS = {"github": "ci", "gitlab": "root", "zuul": "ci"}


def wheel(folder: Path) -> Path:
    """The wheel of this tree."""
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def project(built: Path) -> dict[str, bytes]:
    """The files of a project that requires the wheel and has one scenario, that of the README."""
    (test,) = TEST.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    texts = {
        "requirements.txt": f"pytest-kollalab @ file://{WHEELS / built.name}\n",
        "scenarios/test_chain.py": f"import pytest\n\n\n@pytest.mark.kollalab_smoke\n{test}",
    }
    return {name: text.encode() for name, text in texts.items()}


def prepare(host: Host, system: str, job: Job, built: Path) -> None:
    """Lay out what a job finds on its host: the project, the wheel, what the system brings."""
    host.put({built.name: built.read_bytes()}, WHEELS)
    host.put(project(built))
    host.put({path: text.encode() for path, text in job.files.items()})
    host.run(GIVEN[system])


def run_job(
    host: Host, system: str, job: Job, say: Callable[[str], None], *, images: bool = True
) -> bool:
    """Run the scripts of a job. After a failure only those that run always are run.

    Args:
        host: Where.
        system: The system of the job.
        job: The job.
        say: Shows a line.
        images: Whether images may be built. If not, the job is cancelled when it begins to.

    Returns:
        Whether nothing failed, but for a script that was cancelled.
    """
    good, over, cancelled = True, Event(), Event()

    def cancel() -> None:
        # Zuul shows what a task has printed when the task is done, so no line tells.
        begun = f"test {job.cache}/logs/images.log -nt {STARTED}"
        while not over.wait(2):
            if host.succeeds(begun, user="root"):
                say("images begin: the job is cancelled")
                cancelled.set()
                host.cancel()
                return

    host.run(f"touch {STARTED}")
    watching = Thread(target=cancel)
    if not images:
        watching.start()
    for script in job.scripts:
        if (not good or cancelled.is_set()) and not script.always:
            continue
        say(f"{script.name}")
        started = time.monotonic()
        was = cancelled.is_set()
        path = f"export PATH={PATHS[system]}:$PATH\n" if PATHS[system] else ""
        environment = {"USER": host.user} | dict(job.environment)
        done = host.succeeds(path + script.text(environment, PROJECT))
        ended = "done" if done else "FAILED" if was == cancelled.is_set() else "cancelled"
        good = good and ended != "FAILED"
        say(f"{script.name}: {ended}, {time.monotonic() - started:.0f} s")
    over.set()
    if not images:
        watching.join()
    return good


def left(host: Host) -> bool:
    """Whether the host has containers or networks of a lab, which are then shown."""
    only = "--filter label=kollalab.lab"
    found = f"$(docker ps -a -q {only}; docker network ls -q {only})"
    return not host.succeeds(f'found="{found}"; echo "left: $found"; test -z "$found"', user="root")


def kept(host: Host, job: Job) -> list[str]:
    """What the system finds of what it is to keep or to hand over."""
    return [path for path in job.kept if host.succeeds(f"cd {PROJECT} && test -e {path}")]
