"""Several labs in one session: workers are spread over them, and all of them go."""

from __future__ import annotations

import pathlib

import pytest

from .small_lab import CONFTEST

LABS = """\
import os, time
import pytest

@pytest.mark.parametrize("number", range(4))
def test_uses(kollalab, openstack_cloud, number):
    with open("used", "a") as file:
        file.write(f"{os.environ.get('PYTEST_XDIST_WORKER')} {kollalab.name}\\n")
    # Long enough for the other worker to have its share.
    end = time.monotonic() + 10
    while time.monotonic() < end and len(set(open("used"))) < WORKERS:
        time.sleep(0.02)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    without_cloud = "\n    def connect(self):\n        return open('connection', 'w')\n"
    pytester.makeconftest(CONFTEST.replace("    @functools", without_cloud + "\n    @functools", 1))
    return pytester


def created(project: pytest.Pytester) -> list[str]:
    lines = (project.path / "trace").read_text().splitlines()
    return [line for line in lines if line.startswith("create")]


def test_each_worker_has_its_lab_and_none_is_left(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    result = project.runpytest_subprocess("-n", "2", "--kollalab-labs", "2")
    result.assert_outcomes(passed=4)
    used = set((project.path / "used").read_text().splitlines())
    assert used == {"gw0 lab", "gw1 lab-2"}
    # What labs share is made once, what is theirs once for each.
    assert sorted(created(project)) == sorted(
        ["create tools", "create images", *["create nodes", "create cloud"] * 2]
    )
    result.stdout.fnmatch_lines(
        ["*removing lab lab-2*", "*removing lab lab", "*lab lab was removed*"]
    )
    assert list((project.path / "state" / "labs").iterdir()) == []


def test_labs_are_shared_round_where_there_are_more_workers(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "3"))
    project.runpytest_subprocess("-n", "3", "--kollalab-labs", "2").assert_outcomes(passed=4)
    used = set((project.path / "used").read_text().splitlines())
    assert used == {"gw0 lab", "gw1 lab-2", "gw2 lab"}


def test_workers_may_have_names(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    named = ("--tx", "popen//id=alpha", "--tx", "popen//id=beta-2", "--dist=load")
    project.runpytest_subprocess(*named, "--kollalab-labs", "2").assert_outcomes(passed=4)
    used = set((project.path / "used").read_text().splitlines())
    assert used == {"alpha lab", "beta-2 lab-2"}


def test_a_worker_that_replaces_another_has_its_lab(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_labs=LABS.replace("WORKERS", "2")
        + """
def test_dies(kollalab, openstack_cloud):
    with open("used", "a") as file:
        file.write(f"{os.environ['PYTEST_XDIST_WORKER']} {kollalab.name} dies\\n")
    os._exit(1)

@pytest.mark.parametrize("number", range(4))
def test_uses_again(kollalab, openstack_cloud, number):
    with open("again", "a") as file:
        file.write(f"{os.environ['PYTEST_XDIST_WORKER']} {kollalab.name}\\n")
    end = time.monotonic() + 100
    while time.monotonic() < end and "gw2" not in open("again").read():
        time.sleep(0.1)
"""
    )
    project.runpytest_subprocess("-n", "2", "--maxschedchunk=1", "--kollalab-labs", "2")
    died = next(line for line in (project.path / "used").read_text().splitlines() if "dies" in line)
    again = dict(line.split() for line in (project.path / "again").read_text().splitlines())
    assert again["gw2"] == died.split()[1]
    assert set(again.values()) == {"lab", "lab-2"}


def test_the_tests_of_a_broken_lab_go_on_in_the_first(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    (project.path / "break-nodes-lab-2").touch()
    result = project.runpytest_subprocess("-n", "2", "--kollalab-labs", "2")
    result.assert_outcomes(passed=4)
    assert set((project.path / "used").read_text().splitlines()) == {"gw0 lab", "gw1 lab"}
    # A pipeline must not take that for a success, and has to know why.
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*lab lab-2: the lab is broken: nodes is full; its tests go on in lab lab",
            "*= the lab is broken =*",
            "nodes is full",
            "  log: *",
            "  what now: make room",
        ]
    )
    told = next(line for line in result.outlines if line.startswith("  log: "))
    assert pathlib.Path(told.removeprefix("  log: ")).read_text() == "all of it"
    assert list((project.path / "state" / "labs").iterdir()) == []


WARNS = """\
import warnings

made = Small.create

def create(self, work):
    warnings.warn_explicit("old", DeprecationWarning, "x.py", 1, module="openstack.resource")
    return made(self, work)

Small.create = create
"""


def test_what_the_sdk_warns_of_breaks_no_lab(project: pytest.Pytester) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(f"{conftest.read_text()}\n{WARNS}")
    project.makeini("[pytest]\nfilterwarnings = error::DeprecationWarning\n")
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    result = project.runpytest_subprocess("-n", "2", "--kollalab-labs", "2")
    result.assert_outcomes(passed=4)
    assert set((project.path / "used").read_text().splitlines()) == {"gw0 lab", "gw1 lab-2"}
    assert result.ret == pytest.ExitCode.OK


def test_a_lab_that_broke_is_kept_as_one_with_failures(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    (project.path / "break-cloud-lab-2").touch()
    options = ("--kollalab-labs", "2", "--kollalab-keep", "failed")
    project.runpytest_subprocess("-n", "2", *options).assert_outcomes(passed=4)
    assert (project.path / "state" / "labs" / "lab-2" / "cloud.json").is_file()


def test_without_the_first_lab_there_is_none(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    (project.path / "break-nodes").touch()
    result = project.runpytest_subprocess("-n", "2", "--kollalab-labs", "2")
    result.assert_outcomes(errors=4)
    assert created(project) == ["create tools", "create images"]
    assert result.stdout.str().count("= the lab is broken =") == 2


def test_labs_that_are_kept_are_all_removed_by_the_option(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "2"))
    options = ("--kollalab-labs", "2", "--kollalab-keep", "always")
    project.runpytest_subprocess("-n", "2", *options).assert_outcomes(passed=4)
    assert (project.path / "state" / "labs" / "lab-2").is_dir()
    result = project.runpytest_subprocess("--kollalab-destroy", "--kollalab-labs", "2")
    result.stdout.fnmatch_lines(["*lab lab-2 is gone", "*lab lab is gone"])
    assert list((project.path / "state" / "labs").iterdir()) == []


def test_without_workers_there_is_one_lab(project: pytest.Pytester) -> None:
    project.makepyfile(test_labs=LABS.replace("WORKERS", "1"))
    project.runpytest_subprocess("--kollalab-labs", "3").assert_outcomes(passed=4)
    assert set((project.path / "used").read_text().splitlines()) == {"None lab"}


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_number_that_makes_no_sense_is_told(project: pytest.Pytester, number: str) -> None:
    result = project.runpytest_subprocess(f"--kollalab-labs={number}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*labs: {number} is not possible*"])


GONE = """

import requests

def refuse(self, work, destroy=Small.destroy):
    if Path(__file__).with_name(f"refuse-{work.tag.lab}").exists() and self.name == "nodes":
        raise requests.ConnectionError("docker is gone")
    destroy(self, work)

Small.destroy = refuse
"""


def test_a_lab_that_cannot_be_removed_does_not_keep_the_others(project: pytest.Pytester) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + GONE)
    project.makepyfile(
        test_labs=LABS.replace("WORKERS", "2")
        + "\ndef test_last(kollalab):\n    open('refuse-lab-2', 'w').close()\n"
    )
    result = project.runpytest_subprocess("-n", "2", "--kollalab-labs", "2")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*removing lab lab-2",
            "kollalab: lab lab-2 is not removed; remove it with: kollalab down --name lab-2",
            "a request to docker failed",
            "*lab lab was removed*",
        ]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    labs = project.path / "state" / "labs"
    assert [path.name for path in labs.iterdir() if path.is_dir()] == ["lab-2"]
