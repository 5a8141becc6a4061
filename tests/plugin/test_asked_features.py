"""What the selected tests ask for is what the lab gets: by marker and by fixture."""

from __future__ import annotations

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.lab.kept import PASSING
from tests.plugin.small_lab import CONFTEST

SHOW = """
from pytest_kollalab.plugin.session import session_key

def pytest_collection_finish(session):
    print("\\nfeatures:", session.config.stash[session_key].features)
"""

TESTS = """
import pytest

def test_plain(tenant):
    pass

@pytest.mark.kollalab_feature("sfc")
def test_marked():
    pass

def test_by_fixture(compute):
    pass

@pytest.fixture
def guest(compute):
    pass

def test_by_fixture_of_fixture(guest):
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(SHOW)
    pytester.makepyfile(TESTS)
    return pytester


@pytest.mark.parametrize(
    ("selection", "features"),
    [
        ([], "('compute', 'sfc')"),
        (["-k", "test_plain"], "()"),
        (["-k", "marked"], "('sfc',)"),
        (["-k", "test_by_fixture_of"], "('compute',)"),
        (["-m", "kollalab_feature"], "('sfc',)"),
        (["--deselect", "test_asked_features.py::test_marked"], "*"),
    ],
)
def test_features_come_from_the_selected_tests(
    project: pytest.Pytester, selection: list[str], features: str
) -> None:
    result = project.runpytest_subprocess("--collect-only", "-s", *selection)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"features: {features}"])


def test_an_unknown_feature_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kollalab_feature("sfx")
        def test_marked():
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*there is no feature 'sfx'",
            "*asked for by test_an_unknown_feature_is_a_usage_error.py::test_marked",
            "*'sfc'*",
        ]
    )


@pytest.mark.parametrize("given", ['["sfc", "bgpvpn"]', "", 'name="sfc"'])
def test_a_marker_with_anything_but_names_is_a_usage_error(
    pytester: pytest.Pytester, given: str
) -> None:
    pytester.makepyfile(
        test_it=f"""
        import pytest

        @pytest.mark.kollalab_feature({given})
        def test_marked():
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*marker kollalab_feature takes names of features", "*test_it.py::test_marked has *"]
    )


def test_the_markers_are_registered(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["*kollalab_feature(name*", "*kollalab_smoke:*"])


FOREIGN = """
from pytest_kollalab.features.base import Feature

def pytest_kollalab_features():
    return Feature("banner", fixtures=("banner",))
"""


@pytest.mark.parametrize(
    ("passing", "there", "title"),
    [
        # Of `kollalab up`: it keeps what it has.
        (False, ["core", "compute", "sfc"], "lab lab: core banner compute sfc;*"),
        # A session made it for its own tests.
        (True, ["core", "compute", "sfc"], "lab lab: core banner;*"),
    ],
)
def test_a_lab_that_is_built_anew_keeps_the_features_that_somebody_wanted(
    pytester: pytest.Pytester, passing: bool, there: list[str], title: str
) -> None:
    make_lab(pytester, there, passing=passing)
    result = pytester.runpytest_subprocess("--kollalab-plan", "-k", "banner")
    result.stdout.fnmatch_lines([title])


def make_lab(pytester: pytest.Pytester, features: list[str], *, passing: bool) -> None:
    """A lab whose cloud is recorded with these features, and tests of a project beside it."""
    folder = pytester.path / "state" / "labs" / "lab"
    folder.mkdir(parents=True)
    inputs = {"features": features, "release": "2026.1"}
    records.save(folder / "cloud.json", Record("cloud", "key", "run", READY, inputs))
    if passing:
        (folder / PASSING).touch()
    pytester.makeconftest(FOREIGN)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def banner(tenant):
            pass

        def test_banner(banner):
            pass

        def test_nodes(lab_nodes):
            pass
        """
    )


def test_a_lab_with_a_feature_that_is_not_known_here_is_refused_and_not_thrown_away(
    pytester: pytest.Pytester,
) -> None:
    make_lab(pytester, ["core", "elsewhere"], passing=False)
    wanted = [
        "*lab lab has the feature elsewhere, not known here: it would be built anew without",
        "*it has core elsewhere; wanted here: core banner",
        "*cloud would be built anew: *features changed*",
        "*for another lab (pytest --kollalab-name, kollalab --name), or remove this one first:*",
    ]
    result = pytester.runpytest_subprocess("--kollalab-plan", "-k", "banner")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(wanted)
    # The run says the same, before it makes anything.
    result = pytester.runpytest_subprocess("-q", "-k", "banner")
    result.stdout.fnmatch_lines(wanted)
    assert "tools: build" not in result.stdout.str()
    assert (pytester.path / "state" / "labs" / "lab" / "cloud.json").exists()
    # Beside it there is room for another lab.
    result = pytester.runpytest_subprocess("--kollalab-plan", "-k", "banner", "--kollalab-name=b")
    result.stdout.fnmatch_lines(["lab b: core banner;*"])


def test_a_lab_that_a_session_made_with_an_unknown_feature_is_built_anew(
    pytester: pytest.Pytester,
) -> None:
    make_lab(pytester, ["core", "elsewhere"], passing=True)
    result = pytester.runpytest_subprocess("--kollalab-plan", "-k", "banner")
    result.stdout.fnmatch_lines(["lab lab: core banner;*", "cloud *build * features changed*"])


@pytest.mark.parametrize(
    ("marker", "fixture", "last"),
    [
        ('@pytest.mark.kollalab_feature("sfc")', "lab_nodes", "cloud"),
        # Of a class or a module, too.
        ('pytestmark = pytest.mark.kollalab_feature("sfc")\n', "lab_nodes", "cloud"),
        ('@pytest.mark.kollalab_feature("sfc")', "kolla_images", "images"),
        ('@pytest.mark.kollalab_feature("sfc")', "kollalab", ""),
        ("", "lab_nodes", "nodes"),
    ],
)
def test_nodes_of_a_test_with_the_marker_have_the_feature(
    pytester: pytest.Pytester, marker: str, fixture: str, last: str
) -> None:
    pytester.makeconftest(
        CONFTEST
        + """
import pytest


@pytest.fixture(scope="session")
def openstack_cloud(kollalab):
    kollalab.ensure("cloud")
"""
    )
    pytester.makepyfile(f"import pytest\n\n{marker}\ndef test_it({fixture}): pass\n")
    pytester.runpytest_subprocess("--kollalab-keep=always").assert_outcomes(passed=1)
    trace = pytester.path / "trace"
    lines = trace.read_text().splitlines() if trace.exists() else []
    built = [line.removeprefix("create ") for line in lines if line.startswith("create")]
    assert built[-1:] == ([last] if last else [])
