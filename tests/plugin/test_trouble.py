"""Trouble as a user meets it: one message with what, why and what now, and never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.denied import close, heeding
from tests.plugin.small_lab import CONFTEST

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
KOLLALAB = str(Path(sys.executable).with_name("kollalab"))

TEST = """
def test_nodes(lab_nodes):
    pass
"""

MARKED = """
import pytest

@pytest.mark.kollalab_feature("sfx")
def test_marked():
    pass

def test_plain():
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A lab of small stages and a test that needs nodes."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TEST)
    return pytester


@pytest.fixture
def real(pytester: pytest.Pytester) -> pytest.Pytester:
    """The real stages and a test that needs nodes."""
    pytester.makepyfile(test_it=TEST)
    (pytester.path / ".git").mkdir()
    return pytester


def message(result: pytest.RunResult, *parts: str) -> str:
    """The whole output, in which the parts stand in their order, and no traceback does."""
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text, text
    assert "INTERNALERROR" not in text, text
    at = 0
    for part in parts:
        at = text.find(part, at)
        assert at >= 0, f"no {part!r} in:\n{text}"
    return text


def run(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=False, capture_output=True, text=True, **options)


def kollalab(*words: str, denied: bool = False) -> subprocess.CompletedProcess[str]:
    argv = [KOLLALAB, *words]
    return run(*(heeding(*argv) if denied else argv))


def said(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    text = result.stdout + result.stderr
    assert result.returncode == code, text
    assert "Traceback" not in text, text
    for part in parts:
        assert part in text


def test_no_docker(real: pytest.Pytester) -> None:
    result = real.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    message(result, "the lab is broken", "docker cannot be used", "what now: start the daemon")
    said(kollalab("up"), 3, "docker cannot be used", "what now: start the daemon")
    assert not (real.path / "cache" / "tools").exists(), "before anything was started"


@pytest.fixture
def closed_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A daemon's socket that belongs to somebody else."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        daemon.listen()
        close(path)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield path


def test_no_permission_on_the_socket_of_docker(real: pytest.Pytester, closed_socket: Path) -> None:
    result = kollalab("up", denied=True)
    hint = "what now: run as root, or as a member of the group docker"
    said(result, 3, "docker cannot be used", "Permission denied", hint)
    result = kollalab("doctor", denied=True)
    said(result, 3, "problem  docker daemon", "Permission denied", "usermod --append --groups")


def test_a_read_only_cache_folder(real: pytest.Pytester) -> None:
    cache = close(real.mkdir("cache"))
    result = kollalab("up", denied=True)
    said(
        result,
        3,
        f"error: {cache} cannot be written",
        "what now: let this user write",
        "KOLLALAB_CACHE",
    )
    result = run(*heeding(*PYTEST))
    said(result, 1, f"{cache} cannot be written", "what now: let this user write to it")


def test_a_state_folder_that_cannot_be_written(project: pytest.Pytester) -> None:
    above = close(project.mkdir("above"))
    os.environ["KOLLALAB_STATE"] = str(above / "state")
    result = run(*heeding(*PYTEST))
    said(result, pytest.ExitCode.USAGE_ERROR, "cannot be written", "set KOLLALAB_STATE")
    said(kollalab("up", denied=True), 3, "cannot be written", "KOLLALAB_STATE")


def test_a_damaged_state_file(project: pytest.Pytester) -> None:
    keep = "--kollalab-keep=always"
    project.runpytest_subprocess(keep).assert_outcomes(passed=1)
    record = project.path / "state" / "labs" / "lab" / "nodes.json"
    record.write_text(record.read_text()[:40])
    result = project.runpytest_subprocess(keep)
    result.assert_outcomes(errors=1)
    message(result, "the lab is broken", f"{record} is damaged", "what now: run `kollalab down`")
    # What is advised helps.
    result = project.runpytest_subprocess("--kollalab-destroy")
    assert result.ret == pytest.ExitCode.OK
    assert (project.path / "trace").read_text().endswith("destroy cloud\ndestroy nodes\n")
    assert not record.parent.exists()
    project.runpytest_subprocess(keep).assert_outcomes(passed=1)


def test_a_damaged_state_file_of_a_lab_that_is_not_kept(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("--kollalab-keep=always").assert_outcomes(passed=1)
    record = project.path / "state" / "labs" / "lab" / "nodes.json"
    record.write_text("{")
    result = project.runpytest_subprocess("--kollalab-keep=never")
    message(result, "removing lab lab", "is damaged")
    assert not record.parent.exists()


def test_a_state_file_of_a_newer_version(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("--kollalab-keep=always").assert_outcomes(passed=1)
    record = project.path / "state" / "labs" / "lab" / "nodes.json"
    newer = json.dumps({**json.loads(record.read_text()), "format": 99, "more": 1})
    record.write_text(newer)
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    message(
        result,
        "was written by a newer pytest-kollalab",
        "its format is 99",
        "use the newer version",
    )
    result = project.runpytest_subprocess("--kollalab-destroy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message(result, "was written by a newer")
    # What only the newer version knows is left to it.
    assert record.read_text() == newer


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("toml", "test", "told"),
    [
        ("release = '2026.3'", TEST, ["'2026.3' is not supported", "known: 2026.1, 2026.2"]),
        ("features = ['sfx']", TEST, ["there is no feature 'sfx'", "did you mean 'sfc'?"]),
        ("", MARKED, ["there is no feature 'sfx'", "did you mean 'sfc'?"]),
        ("[run]\nprovider = 'dokcer'", TEST, ["'dokcer' is not known", "did you mean 'docker'?"]),
        ("relase = '2026.1'", TEST, ["unknown key relase", "did you mean 'release'?"]),
        ("release = 1", TEST, ["release has the wrong type", "it is 1", "write a string"]),
        ("release = ", TEST, ["is not valid TOML", "line 1", "correct the line"]),
    ],
    ids=["release", "feature", "marker", "provider", "key", "type", "broken"],
)
def test_what_does_not_make_sense_ends_the_session_before_its_first_test(
    real: pytest.Pytester, toml: str, test: str, told: list[str], workers: tuple[str, ...]
) -> None:
    (real.path / "kollalab.toml").write_text(f"{toml}\n")
    real.makepyfile(test_it=test)
    result = real.runpytest_subprocess(*workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = message(result, *told)
    assert text.count("what now: ") == 1
    assert "passed" not in text
    assert not (real.path / "state").exists()


def test_no_terminal(project: pytest.Pytester) -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("TERM", "COLUMNS")}
    result = run(*PYTEST, stdin=subprocess.DEVNULL, env=bare)
    said(result, 0, "nodes: build (not built yet)\n", "1 passed")
    assert "\x1b" not in result.stdout, "lines, and nothing that only a terminal understands"


def test_the_header_names_the_lab_that_is_configured_in_any_way(real: pytest.Pytester) -> None:
    real.makepyfile(test_it="def test_plain(): pass")
    assert "kollalab: " not in real.runpytest_subprocess().stdout.str()
    line = "kollalab: lab mine, features: those of tests; release 2026.1, network backend ovs"
    real.runpytest_subprocess("--kollalab-name=mine").stdout.fnmatch_lines([line])
    real.makeini("[pytest]\nkollalab_name = mine\n")
    real.runpytest_subprocess().stdout.fnmatch_lines([line])


def test_a_file_in_a_folder_above(project: pytest.Pytester) -> None:
    (project.path / "kollalab.toml").write_text('[run]\nname = "above"\nkeep = "always"\n')
    below = project.mkdir("below")
    (below / "test_below.py").write_text(TEST)
    result = project.runpytest_subprocess("--rootdir", str(project.path), "below/test_below.py")
    message(result, f", {project.path / 'kollalab.toml'}", "lab above is kept")
    told = "features: those of tests; release 2026.1, network backend ovs"
    assert f"kollalab: lab above, {told}" in result.stdout.str()
    # A file above the project is somebody else's.
    project.path.joinpath("below", "pytest.ini").write_text("[pytest]\n")
    (below / "conftest.py").write_text(CONFTEST)
    result = project.runpytest_subprocess("below/test_below.py")
    assert "lab above" not in message(result, "removing lab lab")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_commands_in_messages_have_the_options_in_use(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    conftest = CONFTEST.replace('hint="make room"', 'hint="kollalab up --fresh nodes"')
    conftest += """
import pytest
from pytest_kollalab.system.errors import StageError

def refused():
    raise StageError("it cannot be read", hint="kollalab show")

@pytest.fixture
def refuses():
    refused()
"""
    project.makeconftest(conftest)
    more = "def test_ours(openstack_cloud): pass\n\ndef test_own(refuses, kollalab): pass\n"
    project.makepyfile(test_it=f"{TEST}\n{more}")
    options = ("--kollalab-name=mine", "--kollalab-provider=libvirt", "--kollalab-keep=always")
    kept = project.runpytest_subprocess(*options, *workers)
    mine = "--name mine --provider libvirt"
    message(kept, f"remove it with: kollalab down {mine}\n")
    message(kept, "is damaged", f"what now: build the cloud anew: kollalab up {mine} --fresh cloud")
    message(kept, "it cannot be read", f"what now: kollalab show {mine}\n")
    (project.path / "break-nodes").touch()
    result = project.runpytest_subprocess(*options, "--kollalab-fresh=nodes", *workers)
    message(result, f"what now: kollalab up {mine} --fresh nodes\n")
    record = project.path / "state" / "labs" / "mine" / "nodes.json"
    record.write_text("{")
    result = project.runpytest_subprocess(*options, "--kollalab-plan")
    message(result, "is damaged", f"run `kollalab down {mine}`")


def test_the_doctor_tells_of_a_cache_folder_that_cannot_be_written(
    real: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLLALAB_CACHE", str(close(real.mkdir("above")) / "cache"))
    result = kollalab("doctor", denied=True)
    said(result, 3, "problem  cache folder", "cannot be written", "set KOLLALAB_CACHE", "Mitogen")
