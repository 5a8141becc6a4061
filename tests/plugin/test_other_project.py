"""The example project: what pytest makes of it before there is a lab."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "other-project"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copytree(
        EXAMPLE,
        pytester.path,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".*"),
    )
    return pytester


def test_the_plan_says_what_the_project_brings(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-W", "error", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    brought = "image greeter, playbook greeter.yml, variable greeter_port"
    result.stdout.fnmatch_lines(
        [
            *(f"{stage} *build *not built yet*" for stage in ("tools", "images", "nodes", "cloud")),
            f"feature greeter ({brought}), from conftest.py",
            "artifact greeter.txt, from conftest.py",
        ]
    )


def test_who_does_not_ask_for_the_feature_does_not_get_it(project: pytest.Pytester) -> None:
    project.makepyfile(test_plain="def test_plain(lab_nodes): pass")
    result = project.runpytest_subprocess("--kollalab-plan", "test_plain.py")
    result.stdout.no_fnmatch_line("*feature greeter*")


def test_its_scenario_uses_the_overridden_fixture(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--setup-plan", "--kollalab-until=tools")
    result.stdout.fnmatch_lines(["*test_a_tenant_is_greeted*greeter*lab_nodes*"])


def test_a_change_of_its_image_is_a_change_of_the_cloud_alone(project: pytest.Pytester) -> None:
    def keys() -> dict[str, str]:
        lines = project.runpytest_subprocess("--kollalab-plan").outlines
        rows = (line.split() for line in lines if " build " in line)
        return {row[0]: row[2] for row in rows}

    before = keys()
    path = project.path / "greeter" / "images" / "greeter" / "greeter.py"
    path.write_text(path.read_text() + "# changed\n")
    after = keys()
    assert {stage for stage in before if before[stage] != after[stage]} == {"cloud"}
