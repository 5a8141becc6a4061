"""One lab for many: workers, sessions side by side, tests that want it alone, signals, kills."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.small_lab import CONFTEST

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_nodes(lab_nodes, number):
    pass
"""

# Waits for a file, so that a test of ours decides how long it lasts.
PATIENT = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def test_patient(lab_nodes):
    (HERE / "began").touch()
    while not (HERE / "go").exists():
        time.sleep(0.02)
"""


# The cloud of a small lab needs no connection.
CLOUD = """
import pytest

# As for a real cloud, which gets fresh nodes when it is built anew.
Small.consumes = property(lambda self: ("nodes",) if self.name == "cloud" else ())

@pytest.fixture(scope="session")
def small_cloud(kollalab):
    return kollalab.ensure("cloud")
"""

# A session takes a second to start; on a host with other work, many.
PATIENCE = 120.0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    return pytester


class Sessions:
    """Sessions of pytest in the background."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        log = self.folder / f"log-{len(self.started)}"
        with log.open("w") as sink:
            process = subprocess.Popen(
                argv, cwd=self.folder, stdout=sink, stderr=subprocess.STDOUT, text=True
            )
        self.started.append(process)
        return process

    def await_file(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def await_word(self, word: str, number: int = 0) -> None:
        deadline = time.monotonic() + PATIENCE
        while word not in self.said(number):
            assert time.monotonic() < deadline, self.said(number)
            time.sleep(0.02)

    def said(self, number: int = 0) -> str:
        return (self.folder / f"log-{number}").read_text()


@pytest.fixture
def sessions(project: pytest.Pytester) -> Iterator[Sessions]:
    made = Sessions(project)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.wait()


def trace(project: pytest.Pytester) -> list[str]:
    path = project.path / "trace"
    return path.read_text().splitlines() if path.exists() else []


def is_there(project: pytest.Pytester) -> bool:
    return (project.path / "state" / "labs" / "lab").exists()


def test_workers_build_each_stage_once_and_the_others_say_for_whom_they_wait(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    slow = project.path / "slow-create-nodes"
    slow.write_text("600")
    session = sessions.start("-n", "3")
    sessions.await_word("(build nodes, since")
    slow.unlink()
    assert session.wait(PATIENCE) == 0, sessions.said()
    text = sessions.said()
    assert "4 passed" in text
    lines = trace(project)
    assert [line for line in lines if line.startswith("create")] == [
        "create tools",
        "create images",
        "create nodes",
    ]
    assert text.count("nodes: build (") == 1
    (builder,) = re.findall(r"\[(gw\d)\] nodes: build \(", text)
    # Who comes next holds the lock for a moment, to see that nothing is left to do.
    holder = rf"{builder}, process \d+ \(build nodes, since [\d:]+\)"
    found = re.findall(rf"\[gw\d\] lab: waiting for {holder}; follow it in (.*)", text)
    assert len(found) == 1, text
    assert found[0].endswith("state/labs/lab/logs/nodes.log")
    assert list((project.path / "state" / "labs").iterdir()) == []
    assert list((project.path / "state" / "runs").iterdir()) == []


def test_a_session_waits_for_another_process_that_builds_the_lab_and_uses_what_that_built(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(f"{conftest.read_text()}{CLOUD}")
    project.makepyfile("def test_cloud(small_cloud): pass")
    slow = project.path / "slow-create-cloud"
    slow.write_text("600")
    # Like the nodes that `kollalab up` has ready, when it builds the cloud on them.
    first = sessions.start("--kollalab-keep=always")
    sessions.await_file("began-create-cloud")
    plan = project.runpytest_subprocess("--kollalab-plan")
    plan.stdout.fnmatch_lines(["nodes   reuse *", "cloud   build *under way: process *"])
    second = sessions.start()
    sessions.await_word("lab: waiting for process", 1)
    slow.unlink()
    assert (first.wait(PATIENCE), second.wait(PATIENCE)) == (0, 0), sessions.said(1)
    said = sessions.said(1)
    assert "(build cloud, since" in said
    assert "built anew" not in said
    assert "cloud   build" not in said
    assert trace(project).count("create cloud") == 1


def test_a_failure_is_that_of_all_workers(project: pytest.Pytester) -> None:
    (project.path / "break-nodes").touch()
    result = project.runpytest_subprocess("-n", "3", "--junitxml=junit.xml")
    result.assert_outcomes(errors=4)
    text = result.stdout.str()
    assert text.count("nodes: build (") == 1
    assert text.count("what now: make room") == 1
    assert "Traceback" not in text
    assert (project.path / "junit.xml").read_text().count("make room") == 1


def test_the_last_of_two_sessions_removes_the_lab(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    (project.path / "test_patient.py").write_text(PATIENT)
    patient = sessions.start("test_patient.py")
    sessions.await_file("began")
    quick = project.runpytest_subprocess("-k", "test_nodes")
    quick.assert_outcomes(passed=4)
    quick.stdout.fnmatch_lines(["*lab lab is used by another session, which will remove it"])
    assert is_there(project)
    (project.path / "go").touch()
    assert patient.wait(PATIENCE) == 0, sessions.said()
    assert not is_there(project)
    assert trace(project).count("create nodes") == 1
    assert trace(project)[-2:] == ["destroy cloud", "destroy nodes"]


def test_who_comes_while_the_lab_is_removed_waits_and_has_one_of_its_own(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    slow = project.path / "slow-destroy-cloud"
    slow.write_text("600")
    first = sessions.start("-k", "test_nodes")
    sessions.await_file("began-destroy-cloud")
    second = sessions.start("-k", "test_nodes")
    sessions.await_word("lab lab is being removed by another process; waiting", 1)
    slow.unlink()
    assert first.wait(PATIENCE) == 0, sessions.said()
    assert second.wait(PATIENCE) == 0, sessions.said(1)
    assert trace(project).count("create nodes") == 2
    assert not is_there(project)


def test_a_disruptive_test_runs_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import time
        from pathlib import Path

        import pytest

        def note(text):
            with Path(__file__).with_name("turns").open("a") as file:
                file.write(text + "\\n")

        @pytest.mark.parametrize("number", range(6))
        def test_gentle(kollalab, number):
            note("in")
            time.sleep(0.3)
            note("out")

        @pytest.mark.kollalab_disruptive
        def test_disruptive(kollalab, lab_nodes):
            note("begin")
            time.sleep(0.5)
            note("end")

        def test_plain():
            pass
        """
    )
    project.runpytest_subprocess("-n", "3", "-W", "error").assert_outcomes(passed=8)
    lines = (project.path / "turns").read_text().splitlines()
    begin = lines.index("begin")
    assert lines[begin + 1] == "end"
    assert lines[:begin].count("in") == lines[:begin].count("out")
    assert list((project.path / "state" / "labs").iterdir()) == []


def test_a_worker_that_dies_leaves_no_lab(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import os, signal

        def test_dies(lab_nodes):
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = project.runpytest_subprocess("-n", "1")
    result.assert_outcomes(failed=1)
    assert trace(project)[-2:] == ["destroy cloud", "destroy nodes"]
    assert not is_there(project)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_first_signal_ends_the_tests_and_removes_the_lab(
    project: pytest.Pytester, sessions: Sessions, kind: signal.Signals, workers: tuple[str, ...]
) -> None:
    (project.path / "test_patient.py").write_text(PATIENT)
    process = sessions.start("test_patient.py", *workers)
    sessions.await_file("began")
    process.send_signal(kind)
    assert process.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED, sessions.said()
    text = sessions.said()
    name = "Ctrl-C" if kind == signal.SIGINT else "SIGTERM"
    assert f"kollalab: {name}: ending the tests, then removing lab lab" in text
    assert "kollalab: removing lab lab" in text
    assert trace(project)[-2:] == ["destroy cloud", "destroy nodes"]
    assert not is_there(project)


def test_the_second_signal_stops_at_once_and_names_the_command(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    (project.path / "slow-destroy-cloud").write_text("600")
    (project.path / "test_patient.py").write_text(PATIENT)
    process = sessions.start("test_patient.py", "--kollalab-name=mine")
    sessions.await_file("began")
    process.send_signal(signal.SIGINT)
    sessions.await_file("began-destroy-cloud")
    process.send_signal(signal.SIGINT)
    # Long before the removal would have ended.
    assert process.wait(PATIENCE / 2) == 128 + signal.SIGINT
    assert "Lab mine is removed by: kollalab down --name mine" in sessions.said()
    assert "Traceback" not in sessions.said()


def test_a_signal_while_the_lab_is_removed_does_not_stop_that(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    slow = project.path / "slow-destroy-cloud"
    slow.write_text("600")
    process = sessions.start("-k", "test_nodes")
    sessions.await_file("began-destroy-cloud")
    process.send_signal(signal.SIGTERM)
    sessions.await_word("kollalab: SIGTERM: ")
    slow.unlink()
    assert process.wait(PATIENCE) == 0, sessions.said()
    assert not is_there(project)


def test_a_killed_session_is_cleaned_up_by_the_next(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    (project.path / "slow-create-nodes").write_text("600")
    process = sessions.start("-k", "test_nodes")
    sessions.await_file("began-create-nodes")
    process.kill()
    process.wait()
    assert is_there(project)
    (project.path / "slow-create-nodes").unlink()
    result = project.runpytest_subprocess("-k", "test_nodes")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*nodes: build (an earlier run was stopped)*"])
    assert not is_there(project)
    assert list((project.path / "state" / "runs").iterdir()) == []


def test_a_session_without_a_lab_leaves_signals_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import signal

        def test_plain():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)
    assert not Path(os.environ["KOLLALAB_STATE"]).exists()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_session_without_a_lab_ends_at_sigterm_as_ever(
    project: pytest.Pytester, sessions: Sessions, workers: tuple[str, ...]
) -> None:
    (project.path / "test_patient.py").write_text(PATIENT.replace("lab_nodes", ""))
    process = sessions.start("test_patient.py", *workers)
    sessions.await_file("began")
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    # Killed as it is, a session may have left nothing of its output, not even the header.
    said = sessions.said().replace("kollalab-0", "").rpartition("session starts")[2]
    assert "kollalab" not in said
    assert not Path(os.environ["KOLLALAB_STATE"]).exists()


def test_who_leaves_while_another_builds_does_not_wait(
    project: pytest.Pytester, sessions: Sessions
) -> None:
    (project.path / "test_images.py").write_text(
        PATIENT.replace("lab_nodes", "kolla_images").replace("patient", "images")
    )
    first = sessions.start("test_images.py")
    sessions.await_file("began")
    (project.path / "slow-create-nodes").write_text("600")
    second = sessions.start("-k", "test_nodes")
    sessions.await_file("began-create-nodes")
    (project.path / "go").touch()
    assert first.wait(PATIENCE) == 0, sessions.said()
    assert "lab lab is used by another session" in sessions.said()
    assert second.poll() is None


# A teardown that fails, as one does of which something was interrupted; and a test that swallows
# the exception that ends the session.
TROUBLED = """
import os
import signal
from pathlib import Path

import pytest

@pytest.fixture(scope="module")
def network(lab_nodes):
    yield
    raise {error}

def test_swallows(network):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        {then}

def test_never(network):
    Path("never").touch()
"""


@pytest.mark.parametrize("then", ["pass", "raise ValueError(1)", "raise"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("OSError('in use')", "while the tests were ended: OSError: in use"),
        ("pytest.fail.Exception('in use', pytrace=False)", "while the tests were ended: in use"),
    ],
    ids=["any", "message"],
)
def test_a_signal_ends_the_session_whatever_tests_and_teardowns_do(
    project: pytest.Pytester, sessions: Sessions, then: str, error: str, told: str
) -> None:
    (project.path / "test_troubled.py").write_text(TROUBLED.format(error=error, then=then))
    process = sessions.start("test_troubled.py")
    assert process.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED, sessions.said()
    text = sessions.said()
    assert told in text
    assert "_main(prog=" not in text
    assert not (project.path / "never").exists()
    assert not is_there(project)
