"""What a failure looks like: the test, the message, and only what has to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.small_lab import CONFTEST

WORDS = """
import contextlib
import pytest
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.wait import NotYet
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    return pytester


def run(project: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    project.makepyfile(test_it=WORDS + test)
    return project.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


FAILS = """
def test_answer(lab_nodes):
    wait.until("an answer of 10.0.0.2", lambda: NotYet("no route"), timeout=0)
"""


def test_a_word_that_fails_is_shown_up_to_its_call(project: pytest.Pytester) -> None:
    result = run(project, FAILS)
    text = result.stdout.str()
    assert "wait.py" not in text
    result.stdout.fnmatch_lines(
        [
            ">*wait.until(*an answer of 10.0.0.2*",
            "E*  WaitError: an answer of 10.0.0.2: not within 0 s",
            "E*last seen: no route",
            "test_it.py:8: WaitError",
            "FAILED test_it.py::test_answer - WaitError: an answer of 10.0.0.2: not within*",
        ]
    )
    assert "wait.py" in run(project, FAILS, "--full-trace").stdout.str()


def test_what_a_word_was_given_and_errors_of_other_kinds_are_shown_whole(
    project: pytest.Pytester,
) -> None:
    result = run(
        project,
        """
def test_own(lab_nodes):
    def look():
        assert 1 == 2
    wait.until("something", look, timeout=0)

def test_other(lab_nodes):
    wait.until("something", None, timeout=0)
""",
    )
    text = result.stdout.str()
    own, other = text.split("_ test_other _")
    assert "assert 1 == 2" in own
    assert "wait.py" not in own
    assert "wait.py" in other


def test_a_node_that_is_not_there_is_told_with_those_that_are(project: pytest.Pytester) -> None:
    made = 'nodes=dict.fromkeys(["compute-1", "controller-1"], NODE)'
    project.makeconftest(CONFTEST.replace("nodes={}", made))
    result = run(project, 'def test_node(lab_nodes):\n    lab_nodes["compute-2"].host\n')
    message = "NoNodeError: no node compute-2; there are "
    lines = [f"E*{message}compute-1, controller-1", f"FAILED test_it.py::test_node - {message}*"]
    result.stdout.fnmatch_lines(lines)


TEARDOWN = """
@pytest.fixture(scope="module")
def network(kolla_images):
    yield
    raise StageError("the network cannot be removed")

def test_first(network):
    assert "first" == "one"

def test_last(network):
    pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_failed_teardown_does_not_come_first(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = run(project, TEARDOWN, *workers)
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*= FAILURES =*",
            "*_ test_first _*",
            "*= ERRORS =*",
            "*_ ERROR at teardown of test_last _*",
            "*= short test summary info =*",
            "FAILED test_it.py::test_first*",
            "ERROR test_it.py::test_last*",
        ]
    )
    assert result.stdout.str().count("ERROR at teardown") == 1
    alone = run(project, TEARDOWN, *workers, "-k", "last")
    alone.stdout.fnmatch_lines(["*= ERRORS =*", "*_ ERROR at teardown of test_last _*"])


PROJECTS = """
import pytest

@pytest.fixture
def theirs():
    raise ValueError("of the project")

@pytest.fixture
def late():
    yield
    raise ValueError("of its end")

@pytest.fixture(scope="session")
def openstack_cloud(kolla_images):
    pass
"""


def test_an_error_of_our_fixture_is_its_message_and_one_of_the_projects_has_no_frames_of_ours(
    project: pytest.Pytester,
) -> None:
    project.makeconftest(CONFTEST + PROJECTS)
    tests = (
        "def test_ours(tenant): pass\n\n"
        "def test_theirs(theirs): pass\n\ndef test_late(late): pass\n"
    )
    result = run(project, tests)
    result.assert_outcomes(passed=1, errors=3)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*_ ERROR at setup of test_ours _*",
            "there is no lab lab",
            "  what now: kollalab up --name lab",
            "*_ ERROR at setup of test_theirs _*",
            "conftest.py:*: ValueError",
            "*_ ERROR at teardown of test_late _*",
        ]
    )
    for place in ("external_cloud.py", "session.py", "fixtures.py"):
        assert place not in text
    assert "external_cloud.py" in run(project, tests, "--full-trace").stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_broken_lab_has_no_name_of_a_class_in_the_summary(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    (project.path / "break-nodes").touch()
    tests = "def test_a(lab_nodes): pass\n\ndef test_b(lab_nodes): pass\n"
    result = run(project, tests, "--junitxml=junit.xml", *workers)
    result.assert_outcomes(errors=2)
    for name in ("test_a", "test_b"):
        result.stdout.fnmatch_lines(
            [f"ERROR test_it.py::{name} - the lab is broken: nodes is full"]
        )
    for text in (result.stdout.str(), (project.path / "junit.xml").read_text()):
        assert "BrokenLab" not in text


PLAIN = """
from pytest_kollalab.system import activity

def test_builds(kolla_images):
    pass

def test_own_data(kolla_images):
    assert "a" == "b"

def test_no_such_fixture(kolla_images, tenent):
    pass

@pytest.fixture
def own(kolla_images):
    assert "a" == "b"

def test_own_fixture(own):
    pass

def test_without_lab():
    assert 0

def test_asks_the_lab(kolla_images):
    activity.note()
    assert 0

def test_node(lab_nodes):
    assert 0
"""


def test_nothing_is_collected_for_what_has_nothing_to_do_with_the_lab(
    project: pytest.Pytester,
) -> None:
    result = run(project, PLAIN, "--kollalab-artifacts=out")
    result.assert_outcomes(passed=1, failed=4, errors=2)
    folders = {path.name.rpartition("-")[0] for path in Path(project.path, "out").glob("test_*")}
    assert folders == {"test_it-test_asks_the_lab", "test_it-test_node"}
