"""What a failed test leaves: a folder of its own, links in the reports, and no secret anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.plugin.small_lab import OF_SMALL_STAGES, SMALL_STAGE

# The real plugin, collection and ssh; a lab whose stages make no more than the files that are
# looked at. Its "ssh" runs the command here, in a shell that finds none of a node's programs.
CONFTEST = (
    """
import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest_kollalab.lab.lab
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.stage import Stage
from pytest_kollalab.providers.base import Provider
from pytest_kollalab.system.errors import StageError

HERE = Path(__file__).parent


"""
    + SMALL_STAGE
    + """
    def create(self, work):
        work.log.write_text("in the log: pass-word-of-the-database\\n")
        if (HERE / f"break-{self.name}").exists():
            raise StageError(f"{self.name} is full: pass-word-of-the-database", hint="make room")
        if self.name == "nodes":
            etc = work.folder.parent / "cloud" / "etc"
            etc.mkdir(parents=True)
            (etc / "passwords.yml").write_text("database_password: pass-word-of-the-database\\n")
        if self.name == "nodes":
            nodes = {"controller-1": NODE, "compute-1": NODE}
            return replace(MADE["nodes"], nodes=nodes, ssh_config=HERE / "none")
        return MADE[self.name]

    def destroy(self, work):
        pass


class NoProvider(Provider):
    name = "none"

    def inputs(self, nodes, extra=()):
        return {}

    def create(self, spec, undo):
        raise NotImplementedError

    def gone(self, lab, made):
        return None

    def destroy(self, lab):
        pass

    def last_words(self, lab, thing):
        return f"{thing} says pass-word-of-the-database"


class SmallLab(pytest_kollalab.lab.lab.Lab):
    provider = NoProvider()

"""
    + OF_SMALL_STAGES
)

TESTS = """
import logging
import pytest

SECRET = "pass-word-" + "of-the-database"
TOKEN = "gAAAA" + "ABpIhJ1q8Vw-Z_x0b1T5uE9kF3rJc7"

def test_good(lab_nodes):
    print(SECRET)

def test_bad(lab_nodes):
    print(SECRET)
    logging.getLogger("x").error("X-Auth-Token: %s", TOKEN)
    seen = {"a": SECRET, "b": TOKEN}
    raise ValueError(f"cannot use {SECRET} and {TOKEN}")

@pytest.fixture
def broken(lab_nodes):
    yield
    raise RuntimeError(SECRET)

def test_ends_badly(broken):
    pass
"""

SECRETS = ("pass-word-of-the-database", "gAAAA", "ABpIhJ1q8Vw")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    ssh = pytester.mkdir("bin") / "ssh"
    # ssh -F CONFIG NODE COMMAND
    ssh.write_text('#!/bin/sh\n[ "$3" != compute-1 ] || exit 255\nexec sh -c "$4"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=os.pathsep)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(
        "-p", "no:cacheprovider", "--kollalab-artifacts=out", "--junitxml=junit.xml", *arguments
    )


def links(project: pytest.Pytester) -> dict[str, str]:
    """The folder that JUnit tells for each test case."""
    found = {}
    for case in ElementTree.parse(project.path / "junit.xml").iter("testcase"):
        for entry in case.iter("property"):
            if entry.get("name") == "kollalab_artifacts":
                assert case.get("name") not in found, "once is enough"
                found[str(case.get("name"))] = str(entry.get("value"))
    return found


def folders(project: pytest.Pytester) -> list[Path]:
    return [path for path in (project.path / "out").iterdir() if path.is_dir()]


def texts(project: pytest.Pytester) -> dict[Path, str]:
    paths = [*(project.path / "out").rglob("*"), project.path / "junit.xml"]
    return {path: path.read_text() for path in paths if path.is_file()}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_failures_have_folders_that_junit_tells(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = run(project, *workers, "--showlocals")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    found = links(project)
    assert set(found) == {"test_bad", "test_ends_badly"}
    for name, link in found.items():
        folder = project.path / "out" / link
        about = json.loads((folder / "about.json").read_text())
        assert about["test"] == f"test_it.py::{name}"
        assert about["phase"] == ("call" if name == "test_bad" else "teardown")
        assert about["began"] <= about["ended"]
        assert about["problems"] == ["compute-1: ssh failed with exit code 255"]
        assert (folder / "controller-1" / "system.txt").read_text()
        assert (folder / "controller-1" / "console.txt").read_text() == "controller-1 says ********"
        assert "Error" in (folder / "failure.txt").read_text()
    assert len(folders(project)) == 2
    place = f"{project.path}/out/{found['test_bad']}"
    result.stdout.fnmatch_lines(
        ["*kollalab artifacts*", f"open first: {place}/failure.txt", f"{place}: * files in *"]
    )


@pytest.mark.parametrize("style", ["long", "short", "line", "native"])
def test_no_report_tells_a_secret(project: pytest.Pytester, style: str) -> None:
    extra = ["--showlocals"] if style == "long" else []
    result = run(project, f"--tb={style}", "-o", "junit_logging=all", "-rA", *extra)
    result.assert_outcomes(passed=2, failed=1, errors=1)
    shown = {Path("stdout"): result.stdout.str(), **texts(project)}
    for path, text in shown.items():
        for secret in SECRETS:
            # The source of the tests puts them together: it is not the secret itself.
            assert secret not in text.replace('"gAAAA"', ""), (path, text)
    assert "********" in shown[project.path / "junit.xml"]


def test_a_plugin_has_its_own_commands_run_on_each_node(project: pytest.Pytester) -> None:
    hook = """
def pytest_kollalab_artifacts():
    return {"mine": "echo pass-word-of-the-database of $((40 + 2))"}
"""
    project.makeconftest(CONFTEST + hook)
    run(project, "-k", "test_bad").assert_outcomes(failed=1)
    (folder,) = folders(project)
    assert (folder / "controller-1" / "others" / "mine.txt").read_text() == "******** of 42\n"


def test_a_broken_lab_is_collected_for_once(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_a(lab_nodes): pass\n\ndef test_b(lab_nodes): pass\n")
    (project.path / "break-nodes").touch()
    result = run(project)
    result.assert_outcomes(errors=2)
    (folder,) = folders(project)
    assert links(project) == {"test_a": folder.name}
    result.stdout.fnmatch_lines([f"open first: {folder}/stages/nodes.log"])
    assert "in the log: " in (folder / "stages" / "nodes.log").read_text()
    assert json.loads((folder / "about.json").read_text())["phase"] == "setup"
    result.stdout.fnmatch_lines(
        ["none: the lab failed before; the folder of the first test that met it tells why"]
    )


UNCOLLECTED = """
import pytest

@pytest.fixture(scope="module")
def network(lab_nodes):
    raise RuntimeError("no network")

def test_one(network):
    pass

def test_two(network):
    pass

def test_of_its_own_data(kollalab):
    assert 1 == 2

def test_of_a_missing_fixture(kollalab, nowhere_defined):
    pass

def test_plain():
    assert 1 == 2
"""


def test_a_failure_without_artifacts_says_why_where_they_would_be(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(test_it=UNCOLLECTED)
    result = run(project)
    result.assert_outcomes(errors=3, failed=2)
    assert set(links(project)) == {"test_one"}
    told = [line for line in result.outlines if line.startswith("none: ")]
    nothing_asked = (
        "none: the test asked the lab for nothing until it failed; "
        "they are collected in any case for a test with the fixture lab_nodes"
    )
    # Of a test that has nothing to do with a lab nobody expects any. Errors come first.
    assert told == [
        "none: the same failure of a fixture is in the folder of test_it.py::test_one",
        nothing_asked,
        nothing_asked,
    ]


def test_without_the_option_nothing_is_collected_and_all_is_masked(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest_subprocess("--junitxml=junit.xml")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert links(project) == {}
    result.stdout.no_fnmatch_line("*kollalab artifacts*")
    assert SECRETS[0] not in result.stdout.str() + (project.path / "junit.xml").read_text()


def test_tests_without_a_lab_are_left_alone(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_plain():\n    raise ValueError('X-Auth-Token: abcdef')")
    result = run(project)
    result.stdout.fnmatch_lines(["*X-Auth-Token: abcdef*"])
    assert not (project.path / "out").exists()
    assert not (project.path / "state").exists()


def test_a_folder_that_cannot_be_written_is_told_and_hides_no_failure(
    project: pytest.Pytester,
) -> None:
    (project.path / "out").write_text("a file")
    result = run(project)
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*could not be written*"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_the_page_of_pytest_html_links_the_folder(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    pytest.importorskip("pytest_html")
    result = run(project, "--html=pages/report.html", *workers)
    result.assert_outcomes(passed=2, failed=1, errors=1)
    page = (project.path / "pages" / "report.html").read_text()
    for link in links(project).values():
        assert f"../out/{link}" in page
    for secret in SECRETS:
        assert secret not in page.replace("&#34;gAAAA&#34;", "").replace("gAAAA&amp;#34;", "")


SUBTESTS = """
import logging
import unittest

import pytest

SECRET = "pass-word-" + "of-the-database"

def test_parts(lab_nodes, subtests):
    with subtests.test("good one", value=SECRET):
        print("printed " + SECRET)
    for number in (1, 2):
        with subtests.test("bad " + SECRET, number=number, value=[SECRET]):
            print("printed " + SECRET)
            logging.getLogger("x").error("logged %s", SECRET)
            assert SECRET == f"part {number}"
    for number in range(2):
        with subtests.test("the same"):
            raise ValueError(SECRET)

@pytest.fixture(scope="class")
def lab(lab_nodes):
    pass

@pytest.mark.usefixtures("lab")
class TestOfTheLibrary(unittest.TestCase):
    def test_old(self):
        with self.subTest("old " + SECRET, value=SECRET):
            assert SECRET == ""
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_each_failing_subtest_has_a_folder_and_no_report_tells_a_secret(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(test_it=SUBTESTS)
    result = run(
        project, *workers, "-rA", "-vv", "-o", "junit_logging=all", "--html=pages/report.html"
    )
    result.stdout.fnmatch_lines(["SUBFAILED[[]bad ????????[]] (number=*2*, value=*????????*) *"])
    found: dict[str, list[str]] = {}
    page = (project.path / "pages" / "report.html").read_text()
    for case in ElementTree.parse(project.path / "junit.xml").iter("testcase"):
        for entry in [] if case.get("classname") == "kollalab.lab" else case.iter("property"):
            assert entry.get("name") == "kollalab_artifacts"
            found.setdefault(str(case.get("name")), []).append(str(entry.get("value")))
    assert {name: len(links) for name, links in found.items()} == {"test_parts": 4, "test_old": 1}
    every = sorted(link for links in found.values() for link in links)
    assert every == sorted(folder.name for folder in folders(project))
    abouts = {}
    for link in every:
        assert f"../out/{link}" in page
        about = json.loads((project.path / "out" / link / "about.json").read_text())
        abouts[about["test"]] = (project.path / "out" / link / "failure.txt").read_text()
    named = "test_it.py::test_parts [bad ********] (number=2, value=['********'])"
    assert "printed ********" in abouts[named]
    assert "logged ********" in abouts[named]
    assert "part 2" in abouts[named]
    assert "part 1" not in abouts[named]
    assert {"test_it.py::test_parts [the same]", "test_it.py::test_parts [the same] #2"} < {*abouts}
    shown = {Path("stdout"): result.stdout.str(), Path("page"): page, **texts(project)}
    for path, text in shown.items():
        assert SECRETS[0] not in text, (path, text)


LOGS = """
import logging
import warnings

import allure
import pytest

SECRET = "pass-word-" + "of-the-database"
TOKEN = "gAAAA" + "ABpIhJ1q8Vw-Z_x0b1T5uE9kF3rJc7"

@pytest.fixture
def breaks(lab_nodes):
    yield
    raise ConnectionError(f"as admin with {SECRET}")

@allure.step
def log_in(password):
    raise PermissionError(f"{password} is refused")

def test_logs(lab_nodes, breaks):
    log = logging.getLogger("x")
    log.warning("password %s, X-Auth-Token: %s", SECRET, TOKEN)
    log.warning("kept: %s", 42)
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("broken", stack_info=True)
    warnings.warn(f"old {SECRET}", UserWarning)
    allure.dynamic.parameter("password", SECRET)
    allure.attach(f"body {SECRET}", name="body")
    allure.attach(b"\\x89PNG\\xff", name="picture")
    log_in(SECRET)

def test_own_records(caplog):
    logging.getLogger("x").warning("password=%s", "hunter22")
    assert caplog.messages == ["password=hunter22"]
    assert caplog.records[0].args == ("hunter22",)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist=loadfile")], ids=["alone", "workers"])
def test_log_files_warnings_and_other_reporters_tell_no_secret(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(test_it=LOGS)
    options = ["--log-file=log.txt", "--log-level=DEBUG", "--log-cli-level=DEBUG", "-W", "always"]
    result = run(project, *workers, "--alluredir=results", *options)
    result.assert_outcomes(passed=1, failed=1, errors=1)
    results = [path for path in (project.path / "results").iterdir() if path.is_file()]
    every = "".join(path.read_text(errors="replace") for path in results)
    shown = {"stdout": result.stdout.str(), "results": every}
    if not workers:
        shown["log"] = (project.path / "log.txt").read_text()
        assert "kept: 42" in shown["log"]
    for where, text in shown.items():
        assert "********" in text, where
        for secret in SECRETS:
            assert secret not in text.replace('"gAAAA"', ""), (where, text)
    for told in ("PermissionError: ******** is refused", "as admin with ********", "body ********"):
        assert told in every
    assert b"\x89PNG\xff" in [path.read_bytes() for path in results]
