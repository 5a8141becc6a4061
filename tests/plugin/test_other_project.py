"""The example project: what pytest makes of it before there is a lab, and what its parts do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "other-project"

# The greeter itself runs on this host; what stands between it and the word is left out.
WORD = """
import os, socket, subprocess, sys, time
from pathlib import Path
from types import SimpleNamespace

import pytest
from keystoneauth1.session import Session

from greeter.feature import FEATURE
from greeter.settings import GreeterSettings
from pytest_kollalab.providers.base import NETWORKS, NodeMade
from pytest_kollalab.settings.config import Config
from pytest_kollalab.stages.cloud.health import check_troubles
from pytest_kollalab.system import wait

SERVER = Path(__file__).parent / "greeter" / "images" / "greeter" / "serve.py"


@pytest.fixture(scope="module")
def kollalab():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"greeting": "good day", "port": port}
    return SimpleNamespace(config=Config(tables={"greeter": settings}))


@pytest.fixture(scope="module")
def tenant(kollalab):
    port = kollalab.config.table("greeter", GreeterSettings).port
    session = Session()
    session.get_endpoint = lambda service_type: f"http://127.0.0.1:{port}/"
    return SimpleNamespace(cloud=SimpleNamespace(
        session=SimpleNamespace(
            get_endpoint=session.get_endpoint,
            get=lambda url: session.get(url, authenticated=False),
        )
    ))


def trouble(kollalab, tenant):
    here = {"controller-1": NodeMade(**dict.fromkeys(NETWORKS, "127.0.0.1"))}
    connection = SimpleNamespace(session=Session())
    return check_troubles([FEATURE.configured(kollalab.config)], here, None, connection)


def test_it(greeter, kollalab, tenant):
    (before,) = trouble(kollalab, tenant)
    assert before.startswith("controller-1: not yet: the greeter answers (Unable to establish")
    settings = kollalab.config.table("greeter", GreeterSettings)
    environment = {"GREETER_ADDRESS": "127.0.0.1", "GREETER_PORT": str(settings.port)}
    environment["GREETER_GREETING"] = settings.greeting
    server = subprocess.Popen([sys.executable, SERVER], env=os.environ | environment)
    try:
        wait.until(
            "the greeter to answer",
            lambda: not (seen := trouble(kollalab, tenant)) or wait.NotYet(str(seen)),
            timeout=30,
        )
        greeter.greets(socket.gethostname())
        with pytest.raises(AssertionError):
            greeter.greets("elsewhere")
    finally:
        server.kill()
        server.wait()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copytree(
        EXAMPLE,
        pytester.path,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".*"),
    )
    return pytester


def keys(project: pytest.Pytester) -> dict[str, str]:
    """The key of each stage, by the plan."""
    lines = project.runpytest_subprocess("--kollalab-plan").outlines
    rows = (line.split() for line in lines if " build " in line)
    return {row[0]: row[2] for row in rows}


def test_a_feature_is_one_folder_and_one_line() -> None:
    lines = (EXAMPLE / "conftest.py").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("pytest_plugins")]
    assert line == 'pytest_plugins = ["greeter.feature", "greeter.fixtures"]'
    assert not [line for line in lines if "pytest_kollalab_" in line]


def test_the_plan_says_what_the_project_brings(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-W", "error", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    brought = "image greeter, playbook greeter.yml, health check: the greeter answers"
    result.stdout.fnmatch_lines(
        [
            *(f"{stage} *build *not built yet*" for stage in ("tools", "images", "nodes", "cloud")),
            f"feature greeter ({brought}), from greeter.feature",
        ]
    )


def test_it_runs_from_the_folder_of_the_plugin_too(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *("--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider"),
        *("--collect-only", "-q", ROOT / "scenarios" / "sfc", EXAMPLE),
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*test_greeter.py::test_a_tenant_is_greeted*"])


def test_who_does_not_ask_for_the_feature_does_not_get_it(project: pytest.Pytester) -> None:
    project.makepyfile(test_plain="def test_plain(lab_nodes): pass")
    result = project.runpytest_subprocess("--kollalab-plan", "test_plain.py")
    result.stdout.no_fnmatch_line("*feature greeter*")


def test_its_scenario_uses_its_fixture_and_the_overridden_one(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--setup-plan", "--kollalab-until=tools")
    result.stdout.fnmatch_lines(["*test_a_tenant_is_greeted*greeter*lab_nodes*"])


def test_its_word_and_its_health_check_see_the_greeter(project: pytest.Pytester) -> None:
    project.makepyfile(test_word=WORD)
    result = project.runpytest_subprocess("test_word.py")
    result.assert_outcomes(passed=1)


def test_a_change_of_its_image_is_a_change_of_the_cloud_alone(project: pytest.Pytester) -> None:
    before = keys(project)
    path = project.path / "greeter" / "images" / "greeter" / "serve.py"
    path.write_text(path.read_text() + "# changed\n")
    after = keys(project)
    assert {stage for stage in before if before[stage] != after[stage]} == {"cloud"}


def test_a_setting_of_its_own_is_a_change_of_the_cloud_alone(project: pytest.Pytester) -> None:
    before = keys(project)
    (project.path / "kollalab.toml").write_text('[greeter]\ngreeting = "good day"\n')
    after = keys(project)
    assert {stage for stage in before if before[stage] != after[stage]} == {"cloud"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("greting = 'good day'", "did you mean 'greeting'"),
        ("port = 'high'", "port has the wrong type"),
        ("port = 0", "port"),
    ],
)
def test_a_wrong_setting_is_told(project: pytest.Pytester, line: str, message: str) -> None:
    (project.path / "kollalab.toml").write_text(f"[greeter]\n{line}\n")
    result = project.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])
