"""Runs the job of a CI's template on a host of its own: `python -m tests.ci gitlab`.

The scripts are those of the template, read from its YAML; only what the system itself does is done
for it here: the checkout, its own cache, the Python that it brings. When the job begins to build
images, it is cancelled; with `--whole` it is not. It needs root, docker, and a mirror of the
distribution; minutes, or half an hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath

import docker

from pytest_kollalab.settings.config import Options
from tests.ci import templates
from tests.ci.host import KEYRING, PROJECT, about, image, remove_images, running, suite
from tests.ci.system import USERS, kept, left, prepare, run_job, wheel
from tests.ci.templates import SYSTEMS


def main() -> int:
    """Run a job, once or as often as is asked for; 0 if all were good."""
    parser = argparse.ArgumentParser(prog="python -m tests.ci", description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--suite", default="trixie", help="of Debian, or Ubuntu's jammy or noble")
    parser.add_argument("--keyring", default=KEYRING, help="the file with Ubuntu's keys")
    parser.add_argument("--release", default="2026.1")
    parser.add_argument("--systemd", action="store_true", help="the first process is systemd")
    parser.add_argument("--whole", action="store_true", help="do not cancel it at the images")
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
                    prepare(host, asked.system, job, built)
                    if packed.is_file():
                        host.put_packed(packed)
                    good = run_job(host, asked.system, job, say, images=asked.whole) and good
                    good = not left(host) and good
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
