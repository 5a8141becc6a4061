"""A session with `--kollalab-cloud`: no stage runs, and what needs a lab is skipped."""

from __future__ import annotations

import pytest

# openstacksdk talks to nobody before it is asked something.
CLOUDS = """
clouds:
  borrowed:
    auth_type: none
    endpoint: http://127.0.0.1:1
"""

TESTS = """
import pytest
from pytest_kollalab.system.errors import NeedsLabError

def test_images(kolla_images):
    pass

def test_nodes(lab_nodes):
    pass

def test_cloud(openstack_cloud):
    assert openstack_cloud.config.name == "borrowed"

@pytest.fixture
def on_a_node(kollalab):
    return kollalab.ssh()

def test_fixture_that_reaches_a_node(on_a_node):
    pass

def test_reaches_a_node_on_its_way(openstack_cloud, kollalab):
    kollalab.ssh()
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.path.joinpath("clouds.yaml").write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(pytester.path / "clouds.yaml"))
    pytester.makepyfile(TESTS)
    return pytester


def test_what_needs_a_lab_is_skipped_and_the_rest_runs(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nfilterwarnings = error\n")
    result = project.runpytest_subprocess("--kollalab-cloud=borrowed", "-rs")
    result.assert_outcomes(passed=1, skipped=4)
    for what in ("the stage images", "access to nodes"):
        result.stdout.fnmatch_lines([f"*{what} needs a lab; this run uses the cloud borrowed"])
    result.stdout.no_fnmatch_line("*removing lab*")
    assert not (project.path / "cache").exists()


def test_the_ini_setting_means_the_same(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nkollalab_cloud = borrowed\n")
    project.runpytest_subprocess().assert_outcomes(passed=1, skipped=4)


def test_the_plan_says_that_there_is_none(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--kollalab-cloud=borrowed", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["the cloud borrowed is used as it is: no stage runs"])


def test_an_unknown_cloud_names_the_nearest(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--kollalab-cloud=borowed", "-k", "test_cloud", "-rN")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no cloud 'borowed'*", "*did you mean 'borrowed'?*"])
    assert "Traceback" not in result.stdout.str()
    # Once, and not as something that happened while something else was handled. Without pytest's
    # summary (-rN), which repeats messages in full where CI is set.
    assert result.stdout.str().count("did you mean 'borrowed'?") == 1
    assert "another exception" not in result.stdout.str()


UNREACHABLE = """
clouds:
  borrowed:
    region_name: R
    auth: {auth_url: "http://127.0.0.1:1/v3", username: u, password: p, project_name: n,
           user_domain_name: Default, project_domain_name: Default}
"""
SEVERAL = """
def test_a(openstack_cloud): pass
def test_b(openstack_cloud): pass
def test_c(tenant): pass
def test_d(sfc): pass
def test_e(bgpvpn): pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("name", "brief", "more"),
    [
        ("borowed", "there is no cloud 'borowed'", "did you mean 'borrowed'?"),
        ("borrowed", "the cloud borrowed cannot be used", "--os-cloud borrowed token issue"),
    ],
    ids=["unknown", "unreachable"],
)
def test_a_cloud_that_cannot_be_used_is_explained_once(
    project: pytest.Pytester, name: str, brief: str, more: str, workers: tuple[str, ...]
) -> None:
    project.path.joinpath("clouds.yaml").write_text(UNREACHABLE)
    project.makepyfile(SEVERAL)
    result = project.runpytest_subprocess(f"--kollalab-cloud={name}", "-rN", *workers)
    result.assert_outcomes(errors=5)
    text = result.stdout.str()
    assert text.count(more) == 1
    assert text.count(brief) == 6, "a line for each test, and the explanation"
    assert "MaxRetryError" not in text, "no traceback"
    result.stdout.fnmatch_lines(["*= the cloud cannot be used =*"])


def test_it_is_not_destroyed(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--kollalab-cloud=borrowed", "--kollalab-destroy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*removing a lab needs a lab; this run uses the cloud borrowed*"])


LACKING = """
from pytest_kollalab.stages.cloud import external as existing

existing.lacking = lambda *_: {"sfc": "no network extension sfc"}
"""


def test_a_feature_that_the_cloud_lacks_is_a_skip_and_no_error(project: pytest.Pytester) -> None:
    project.makeconftest(LACKING)
    project.makepyfile("def test_a_chain(sfc): pass")
    result = project.runpytest_subprocess("--kollalab-cloud=borrowed", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*borrowed has no feature sfc: no network extension sfc"])


REFUSES = """
import pytest
from pytest_kollalab.system.errors import NeedsAdminError

@pytest.fixture(scope="module")
def mine(kollalab):
    raise NeedsAdminError("the login may not create projects", hint="ask for the role admin")

def test_a(mine): pass
def test_b(mine): pass
def test_c(kollalab): pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_missing_rights_are_explained_once(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(REFUSES)
    result = project.runpytest_subprocess("--kollalab-cloud=borrowed", *workers)
    result.assert_outcomes(passed=1, errors=2)
    lines = "\n".join(
        result.outlines[
            : result.outlines.index(
                next(line for line in result.outlines if "short test summary" in line)
            )
        ]
    )
    assert lines.count("the login may not create projects") == 2
    assert lines.count("ask for the role admin") == 1
    assert "Traceback" not in lines
    assert "def mine" not in lines
