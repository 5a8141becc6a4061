"""A session over a lab of small stages: plan, keep policy, until, failures, workers."""

from __future__ import annotations

import re

import pytest

from tests.plugin.small_lab import CONFTEST

TESTS = """
def test_nodes(lab_nodes):
    pass

def test_images(kolla_images):
    assert kolla_images.namespace == "kolla"
"""

FAILING = (
    TESTS
    + """
def test_fails(lab_nodes):
    assert 0
"""
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    return pytester


def trace(project: pytest.Pytester) -> list[str]:
    path = project.path / "trace"
    return path.read_text().splitlines() if path.exists() else []


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-W", "error", *arguments)


BUILT = ["create tools", "create images", "destroy nodes", "create nodes"]
REMOVED = ["destroy cloud", "destroy nodes"]


def test_the_lab_is_built_once_and_removed_at_the_end(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(passed=2)
    assert trace(project) == [*BUILT, *REMOVED]
    assert not (project.path / "state" / "labs" / "lab").exists()
    result.stdout.fnmatch_lines(["*nodes: build (not built yet)*", "*removing lab lab*"])


def test_the_whole_plan_is_shown_first(project: pytest.Pytester) -> None:
    said = run(project).outlines
    first = said.index("lab lab: core; release 2026.1, network backend ovs, provider docker")
    assert [line.split()[0] for line in said[first + 1 : first + 5]] == [
        "tools",
        "images",
        "nodes",
        "tools:",
    ]


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_silent_stage_says_that_it_still_runs(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    shorter = "from pytest_kollalab.report import live\n"
    shorter += 'live.Plain.__init__.__kwdefaults__["silence"] = 0.2\n'
    engine = CONFTEST.replace("spare=self._spare,", "spare=self._spare, watcher=self._watcher,")
    assert engine != CONFTEST
    project.makeconftest(engine + shorter)
    (project.path / "slow-create-nodes").write_text("1.5")
    result = run(project, *workers)
    result.assert_outcomes(passed=2)
    assert any(re.search(r"(^|\] )nodes, 0:0\d$", line) for line in result.outlines)


def test_caches_serve_the_next_session(project: pytest.Pytester) -> None:
    run(project)
    before = len(trace(project))
    run(project).assert_outcomes(passed=2)
    assert "create images" not in trace(project)[before:]


def test_keep_always_keeps_and_says_how_to_remove(project: pytest.Pytester) -> None:
    result = run(project, "--kollalab-keep=always", "--kollalab-name=mine")
    assert trace(project) == BUILT
    result.stdout.fnmatch_lines(["*lab mine is kept*kollalab down --name mine"])
    again = run(project, "--kollalab-keep=always", "--kollalab-name=mine")
    again.assert_outcomes(passed=2)
    assert trace(project) == BUILT


def test_keep_failed_removes_the_lab_of_a_good_session(project: pytest.Pytester) -> None:
    run(project, "--kollalab-keep=failed")
    assert trace(project)[-2:] == REMOVED


def test_keep_failed_keeps_the_lab_of_a_bad_session(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING)
    run(project, "--kollalab-keep=failed").assert_outcomes(passed=2, failed=1)
    assert trace(project) == BUILT


def test_keep_never_removes_the_lab_of_a_bad_session(project: pytest.Pytester) -> None:
    project.makepyfile(FAILING)
    run(project).assert_outcomes(passed=2, failed=1)
    assert trace(project)[-2:] == REMOVED


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["loud", "quiet"])
def test_a_lab_that_was_there_before_stays(
    project: pytest.Pytester, quiet: tuple[str, ...]
) -> None:
    run(project, "--kollalab-keep=always")
    result = run(project, *quiet)
    result.assert_outcomes(passed=2)
    assert trace(project) == BUILT
    line = "kollalab: lab lab was there before and stays; remove it with: kollalab down"
    result.stdout.fnmatch_lines([line])
    # Told otherwise, the session removes it, and says that it was not its own.
    result = run(project, "--kollalab-keep=never", *quiet)
    assert trace(project)[-2:] == REMOVED
    result.stdout.fnmatch_lines(["kollalab: removing lab lab, which was there before"])


def test_what_a_killed_session_left_does_not_stay(project: pytest.Pytester) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    project.makepyfile(TESTS + f"\ndef test_killed(lab_nodes):\n    {kill}\n")
    run(project)
    assert trace(project) == BUILT
    project.makepyfile(TESTS)
    run(project).assert_outcomes(passed=2)
    assert trace(project) == [*BUILT, *REMOVED]


def test_ctrl_c_removes_the_lab(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS + "\ndef test_stop(lab_nodes):\n    raise KeyboardInterrupt\n")
    assert run(project).ret == pytest.ExitCode.INTERRUPTED
    assert trace(project)[-2:] == REMOVED


def test_the_plan_is_printed_and_nothing_runs(project: pytest.Pytester) -> None:
    result = run(project, "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [f"{stage} *build *not built yet*" for stage in ("tools", "images", "nodes", "cloud")]
    )
    assert trace(project) == []
    result.assert_outcomes(passed=0)


def test_the_plan_tells_what_is_reused(project: pytest.Pytester) -> None:
    run(project)
    result = run(project, "--kollalab-plan")
    result.stdout.fnmatch_lines(["images *reuse *unchanged since*", "nodes *build *"])


def test_the_plan_can_be_asked_for_in_the_ini_file(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nkollalab_plan = true\n")
    run(project).stdout.fnmatch_lines(["nodes *build *"])
    assert trace(project) == []


def test_destroy_removes_a_kept_lab_and_runs_no_test(project: pytest.Pytester) -> None:
    run(project, "--kollalab-keep=always")
    result = run(project, "--kollalab-destroy")
    assert result.ret == pytest.ExitCode.OK
    assert trace(project)[-2:] == REMOVED
    result.stdout.fnmatch_lines(["kollalab: lab lab is gone"])
    result.stdout.no_fnmatch_line("*passed*")


def test_until_skips_what_needs_more(project: pytest.Pytester) -> None:
    result = run(project, "--kollalab-until=images", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*needs stage nodes; this session stops after images*"])


def test_fresh_builds_again(project: pytest.Pytester) -> None:
    run(project, "--kollalab-keep=always")
    run(project, "--kollalab-keep=always", "--kollalab-fresh=nodes").assert_outcomes(passed=2)
    assert trace(project) == [*BUILT, "destroy nodes", "create nodes"]


def test_a_stage_that_fails_is_explained_once_and_the_rest_in_one_line(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def mine(kollalab):
            from pytest_kollalab.plugin.fixtures import ensure
            from pytest_kollalab.providers.base import NodesMade
            return ensure(kollalab, NodesMade)

        def test_a(mine): pass
        def test_b(mine): pass
        """
    )
    (project.path / "break-nodes").touch()
    result = run(project)
    result.assert_outcomes(errors=2)
    text = result.stdout.str()
    assert "Traceback" not in text
    assert text.count("what now: make room") == 1
    assert text.count("the lab is broken: nodes is full\n") >= 2
    result.stdout.fnmatch_lines(["*= the lab is broken =*", "nodes is full", "*many", "*make room"])


def test_workers_share_one_lab_and_the_controller_removes_it(project: pytest.Pytester) -> None:
    result = run(project, "-n", "2")
    result.assert_outcomes(passed=2)
    lines = trace(project)
    assert [line for line in lines if line.startswith("create")] == [
        "create tools",
        "create images",
        "create nodes",
    ]
    assert lines[-2:] == REMOVED


def test_a_fixture_can_be_overridden(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def kolla_images():
            return {"namespace": "mine"}

        def test_images(kolla_images):
            assert kolla_images["namespace"] == "mine"
        """
    )
    run(project).assert_outcomes(passed=1)
    assert trace(project) == []
