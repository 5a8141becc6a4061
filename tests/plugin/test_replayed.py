"""`--kollalab-replay`: playbooks are replayed before the first test, and a failure is told once."""

from __future__ import annotations

import pytest

from tests.plugin.small_lab import CONFTEST

REPLAYING = """
import pytest
from pytest_kollalab.features.base import Feature
from pytest_kollalab.system.errors import ConfigError, StageError


def pytest_kollalab_features():
    return Feature("banner"), Feature("notice")


def replay(self, names):
    with TRACE.open("a") as file:
        file.write(f"replay {' '.join(names)}\\n")
    if Path(__file__).with_name("break-replay").exists():
        raise StageError("the replay of banner failed: banner-banner", details="a typo")


SmallLab.replay = replay
def replaying(self, names):
    for name in names:
        if name not in self.cloud_features():
            raise ConfigError(f"lab lab has no feature {name}", hint="leave it out")


# The stages of such a lab record nothing.
SmallLab.cloud_features = lambda self: ("core", "banner", "sfc") if self.exists() else ()
SmallLab._as_recorded = lambda self: self
SmallLab._replaying = replaying


@pytest.fixture(scope="session")
def openstack_cloud(kollalab):
    from pytest_kollalab.plugin import stages
    return stages.ensure(kollalab, CloudMade)
"""
TESTS = """
def test_one(openstack_cloud):
    pass

def test_two(openstack_cloud):
    pass
"""
BUILT = [f"create {stage}" for stage in ("tools", "images", "nodes", "cloud")]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST + REPLAYING)
    pytester.makepyfile(TESTS)
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_subprocess("--kollalab-keep=always", *options)


def trace(project: pytest.Pytester) -> list[str]:
    path = project.path / "trace"
    found = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    # What is built is removed before, in case something is left of it.
    return [line for line in found if not line.startswith("destroy")]


def test_a_cloud_that_is_there_is_not_built_anew(project: pytest.Pytester) -> None:
    # Without one, there is nothing to replay on: it is built, with the playbooks as they are.
    run(project, "--kollalab-replay=banner").assert_outcomes(passed=2)
    assert trace(project) == BUILT
    run(project, "--kollalab-replay=banner").assert_outcomes(passed=2)
    assert trace(project) == ["replay banner"]
    run(project, "--kollalab-replay=banner", "--kollalab-replay=sfc", "-k", "two")
    assert trace(project) == ["replay banner sfc"]
    run(project)
    assert trace(project) == []


def test_workers_replay_on_no_cloud_that_they_make(project: pytest.Pytester) -> None:
    (project.path / "slow-create-cloud").write_text("2")
    run(project, "--kollalab-replay=banner", "-n", "2").assert_outcomes(passed=2)
    assert trace(project) == BUILT


def test_tests_that_need_no_cloud_have_nothing_replayed(project: pytest.Pytester) -> None:
    run(project)
    trace(project)
    project.makepyfile("def test_nodes(lab_nodes): pass")
    run(project, "--kollalab-replay=banner", "-k", "nodes").assert_outcomes(passed=1)
    assert trace(project) == []


def test_a_replay_that_fails_is_explained_once_and_nothing_is_built(
    project: pytest.Pytester,
) -> None:
    run(project)
    trace(project)
    (project.path / "break-replay").touch()
    result = run(project, "--kollalab-replay=banner")
    result.assert_outcomes(errors=2)
    assert trace(project) == ["replay banner"]
    told = result.stdout.str()
    assert told.count("a typo") == 1
    assert "the replay of banner failed: banner-banner" in told


@pytest.mark.parametrize(
    ("name", "told"),
    [("notice", "*lab lab has no feature notice*"), ("baner", "*there is no feature 'baner'*")],
)
@pytest.mark.parametrize("more", [[], ["--kollalab-plan"], ["-n2"]])
def test_what_cannot_be_replayed_is_refused_before_anything(
    project: pytest.Pytester, name: str, told: str, more: list[str]
) -> None:
    run(project)
    trace(project)
    result = run(project, f"--kollalab-replay={name}", *more)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert told.strip("*") in text
    assert "built anew" not in text
    assert "broken" not in text
    assert trace(project) == []


def test_a_lab_that_lacks_what_tests_want_is_not_replayed_on(project: pytest.Pytester) -> None:
    run(project)
    trace(project)
    project.makepyfile(
        test_more="""
        import pytest
        @pytest.mark.kollalab_feature("notice")
        def test_more(openstack_cloud): pass
        """
    )
    result = run(project, "--kollalab-replay=banner", "-k", "more")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*lab lab has no notice, which tests ask for*"])
    assert trace(project) == []


def test_the_plan_tells_the_replay(project: pytest.Pytester) -> None:
    result = run(project, "--kollalab-replay=banner", "--kollalab-plan")
    result.stdout.fnmatch_lines(["cloud   build *not built yet"])
    run(project)
    trace(project)
    result = run(project, "--kollalab-replay=banner", "--kollalab-plan")
    result.stdout.fnmatch_lines(
        ["nodes   reuse *", "cloud   replay *the playbooks of banner run again, on the nodes as *"]
    )
    assert trace(project) == []


def test_a_replay_that_failed_announces_no_build(project: pytest.Pytester) -> None:
    run(project)
    (project.path / "break-replay").touch()
    result = run(project, "--kollalab-replay=banner", "--kollalab-fresh=cloud")
    result.assert_outcomes(errors=2)
    result.stdout.no_fnmatch_line("*is removed and built anew*")


@pytest.mark.parametrize("option", ["--kollalab-cloud=mine", "--kollalab-labs=2"])
def test_it_is_for_one_lab(project: pytest.Pytester, option: str) -> None:
    result = run(project, "--kollalab-replay=banner", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*playbooks are replayed on one lab of this project*"])
