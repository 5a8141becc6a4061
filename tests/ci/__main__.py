"""Runs the job of a CI's template on a host of its own: `python -m tests.ci gitlab`.

The scripts are those of the template, read from its YAML; only what the system itself does is done
for it here: the checkout, its own cache, the Python that it brings. The job stops after the stage
that `--until` names. It needs root, docker, and a mirror of the distribution; minutes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import docker

from pytest_kollalab.settings.config import STAGES, Options
from tests.ci import templates
from tests.ci.host import HOME, KEYRING, PROJECT, Host, about, image, remove_images, running, suite
from tests.ci.templates import SYSTEMS, Job

ROOT = Path(__file__).parents[2]
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


def project(built: Path, until: str) -> dict[str, bytes]:
    """The files of a project that requires the wheel and has one scenario, that of the README."""
    (test,) = TEST.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    texts = {
        "requirements.txt": f"pytest-kollalab @ file://{WHEELS / built.name}\n",
        "scenarios/test_chain.py": f"import pytest\n\n\n@pytest.mark.kollalab_smoke\n{test}",
        "scenarios/kollalab.toml": f'[run]\nuntil = "{until}"\n',
    }
    return {name: text.encode() for name, text in texts.items()}


def run_job(host: Host, system: str, job: Job, say: Callable[[str], None]) -> bool:
    """Run the scripts of a job. After a failure only those that run always are run."""
    good = True
    environment = {"USER": host.user} | dict(job.environment)
    for script in job.scripts:
        if not good and not script.always:
            continue
        say(f"{script.name}")
        started = time.monotonic()
        path = f"export PATH={PATHS[system]}:$PATH\n" if PATHS[system] else ""
        done = host.succeeds(path + script.text(environment, PROJECT))
        good = good and done
        say(f"{script.name}: {'done' if done else 'FAILED'}, {time.monotonic() - started:.0f} s")
    return good


def kept(host: Host, job: Job) -> list[str]:
    """What the system finds of what it is to keep or to hand over."""
    return [path for path in job.kept if host.succeeds(f"cd {PROJECT} && test -e {path}")]


def main() -> int:
    """Run a job, once or as often as is asked for; 0 if all were good."""
    parser = argparse.ArgumentParser(prog="python -m tests.ci", description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--suite", default="trixie", help="of Debian, or Ubuntu's jammy or noble")
    parser.add_argument("--keyring", default=KEYRING, help="the file with Ubuntu's keys")
    parser.add_argument("--release", default="2026.1")
    parser.add_argument("--systemd", action="store_true", help="the first process is systemd")
    parser.add_argument("--until", choices=STAGES, default="tools")
    parser.add_argument("--times", type=int, default=1, help="as many jobs, with what is kept")
    parser.add_argument("--cpus", type=float, default=0.0)
    parser.add_argument("--keep-image", action="store_true", help="for the next run")
    asked = parser.parse_args()

    def say(text: str) -> None:
        print(f"== {asked.system} {asked.suite}: {text}", flush=True)

    client = docker.from_env()
    job = templates.job(asked.system, asked.release, PurePosixPath(PROJECT))
    user, good = USERS[asked.system], True
    with tempfile.TemporaryDirectory() as name:
        built, packed = wheel(Path(name)), Path(name) / "kept.tar"
        say("the host's image")
        distribution = suite(asked.suite, Options().mirror, asked.keyring)
        root = image(client, distribution, systemd=asked.systemd)
        how = partial(running, client, root, systemd=asked.systemd, user=user, cpus=asked.cpus)
        try:
            for _ in range(asked.times):
                with how() as host:
                    about(host)
                    host.put({built.name: built.read_bytes()}, WHEELS)
                    host.put(project(built, asked.until))
                    host.put({path: text.encode() for path, text in job.files.items()})
                    host.run(GIVEN[asked.system])
                    if packed.is_file():
                        host.put_packed(packed)
                    good = run_job(host, asked.system, job, say) and good
                    found = kept(host, job)
                    say(f"kept or handed over: {' '.join(found) or 'nothing'}")
                    if found:
                        host.pack(found, packed)
        finally:
            if not asked.keep_image:
                remove_images(client)
    say("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
