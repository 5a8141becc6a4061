"""The script of GitLab's template on a host with nothing but Debian: as far as a lab's plan.

`python -m tests.ci` runs those of all templates, on other systems too, and further.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from pytest_kollalab.settings.config import Options
from tests.ci import templates
from tests.ci.host import PROJECT, Host, image, remove_images, running, suite
from tests.ci.system import left, prepare, run_job, wheel


@pytest.fixture
def host() -> Iterator[Host]:
    client = docker.from_env()
    try:
        root = image(client, suite("trixie", Options().mirror), systemd=False)
        with running(client, root, systemd=False, user="root") as made:
            yield made
    finally:
        remove_images(client)


def test_a_job_gets_as_far_as_its_plan_on_a_bare_debian(
    host: Host, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = templates.job("gitlab", "2026.2", PROJECT)
    # As somebody would who wants to see what a job is going to build.
    only_plan = {"PYTEST_ADDOPTS": "--kollalab-plan"}
    job = dataclasses.replace(job, environment={**job.environment, **only_plan})
    assert not host.succeeds("command -v docker || command -v mmdebstrap || command -v pip")
    prepare(host, "gitlab", job, wheel(tmp_path))
    done = run_job(host, "gitlab", job, lambda _: None)
    said = capfd.readouterr()
    assert done, said
    assert not left(host)
    assert "bootstrap: Docker answers" in said.err
    assert "a lab can run here" in said.out
    assert "lab ci-2026-2-0: core sfc; release 2026.2" in said.out
    assert "there is no lab ci-2026-2-0" in said.out
