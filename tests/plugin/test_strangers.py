"""A project that has nothing to do with labs: its own names mean what it says, and no more."""

from __future__ import annotations

import sys

import pytest

NAMES = ("compute", "skydive", "sfc", "bgpvpn", "tenant", "make_sfc")

TESTS = "".join(
    f"""
def test_{name}({name}):
    assert {name} == "theirs"
"""
    for name in NAMES
)
FIXTURES = "import pytest\n" + "".join(
    f"""
@pytest.fixture
def {name}():
    return "theirs"
"""
    for name in NAMES
)
SHOW = """
from pytest_kollalab.plugin.session import session_key

def pytest_terminal_summary(config, terminalreporter):
    found = config.stash[session_key]
    terminalreporter.write_line(f"features: {found.features}, used: {found.used}")
"""


@pytest.mark.parametrize("options", [(), ("--kollalab-cloud=none",)], ids=["lab", "cloud"])
def test_fixtures_that_only_have_our_names_ask_for_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    # Skydive could not be built here: tests that ask for it would be skipped.
    monkeypatch.setenv("GOPROXY", "off")
    pytester.makeconftest(FIXTURES + SHOW)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-W", "error", *options)
    result.assert_outcomes(passed=len(NAMES))
    result.stdout.fnmatch_lines(["features: (), used: False"])
    assert not (pytester.path / "state").exists()


def test_a_parameter_that_only_has_our_name_asks_for_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SHOW)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("sfc", [1, 2])
        def test_it(sfc):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["features: (), used: False"])


def test_ours_counts_under_a_fixture_that_builds_on_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SHOW)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def compute(compute):
            return compute

        @pytest.fixture(scope="session")
        def skydive():
            return "theirs"

        def test_it(compute, skydive):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--collect-only")
    result.stdout.fnmatch_lines(["features: ('compute',), used: False"])


def test_a_fixture_counts_in_the_folder_that_brings_the_feature(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SHOW)
    brings, other = pytester.mkpydir("brings"), pytester.mkpydir("other")
    (brings / "hooks.py").write_text(
        "from pytest_kollalab.features.base import Feature\n"
        "pytest_plugins = ['brings.fixtures']\n"
        "def pytest_kollalab_features():\n"
        "    return Feature('balancer', fixtures=('balancer',))\n"
    )
    fixture = "import pytest\n@pytest.fixture\ndef balancer():\n    pass\n"
    (brings / "fixtures.py").write_text(fixture)
    (other / "conftest.py").write_text(fixture)
    (other / "test_other.py").write_text("def test_other(balancer): pass\n")
    pytester.makepyfile(test_mine="def test_mine(balancer): pass\n")
    run = ("-m", "pytest", "-p", "brings.hooks", "--collect-only")
    result = pytester.run(sys.executable, *run, "test_mine.py")
    result.stdout.fnmatch_lines(["features: ('balancer',), used: False"])
    result = pytester.run(sys.executable, *run, "other")
    result.stdout.fnmatch_lines(["features: (), used: False"])


def test_no_warning_is_filtered_and_no_name_without_prefix_is_registered(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import re
        import warnings

        def test_it(pytestconfig):
            filters = [*pytestconfig.getini("filterwarnings"), *map(str, warnings.filters)]
            assert not [each for each in filters if "openstack" in each]
            markers = [re.split("[:(]", line)[0] for line in pytestconfig.getini("markers")]
            assert "kollalab_smoke" in markers
            assert not {"smoke", "disruptive"} & set(markers)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_typing_error_in_a_marker_that_is_not_ours_is_found(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.smoke\ndef test_it(): pass\n")
    result = pytester.runpytest_subprocess("--strict-markers")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'smoke' not found in `markers` configuration option*"])


def test_their_marker_is_theirs(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers =\n    smoke: quick\n    disruptive: loud\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.smoke
        @pytest.mark.disruptive
        def test_it():
            pass
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "--strict-markers", "-m", "smoke")
    result.assert_outcomes(passed=1)


def test_workers_with_names_run_a_project_without_a_lab(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a(): pass\n\ndef test_b(): pass\n")
    named = ("--tx", "popen//id=alpha", "--tx", "popen//id=beta", "--dist=load")
    pytester.runpytest_subprocess(*named).assert_outcomes(passed=2)
