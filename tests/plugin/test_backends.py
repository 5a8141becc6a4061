"""Tests that are about another network backend are skipped, and nothing is built for them."""

from __future__ import annotations

import pytest

SHOW = """
from pytest_kollalab.plugin.session import session_key

def pytest_collection_finish(session):
    found = session.config.stash[session_key]
    print("\\nfeatures:", found.features)
    print("uses a lab:", found._tests_use_lab)
"""
TESTS = """
import pytest

def test_chains(sfc):
    pass

def test_vpns(bgpvpn):
    pass

def test_a_controller_of_vpns(opendaylight):
    pass

def test_servers(compute):
    pass

@pytest.mark.kollalab_backend("ovs")
@pytest.mark.kollalab_feature("skydive")
def test_agents_of_ovs():
    pass

@pytest.mark.kollalab_backend("ovn")
def test_databases_of_ovn():
    pass

def test_words_of_ovn(ovn):
    pass

@pytest.mark.kollalab_backend("ovs", "ovn")
def test_either():
    pass
"""
OTHER = "the lab has"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(SHOW)
    pytester.makepyfile(test_it=TESTS)
    return pytester


def test_what_ovn_does_not_have_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    given = ["--kollalab-backend=ovn", "-rs", "-s", "-k", "not servers and not words_of_ovn"]
    result = project.runpytest_subprocess(*given)
    result.assert_outcomes(passed=2, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "kollalab: *network backend ovn",
            "features: ()",
            "uses a lab: False",
            "*no feature sfc: it works with the network backend ovs, not with ovn",
            "*no feature bgpvpn: it works with the network backend ovs, not with ovn",
            "*no feature opendaylight: the feature bgpvpn works with the network backend ovs, *",
            f"*it is about the network backend ovs, {OTHER} ovn",
        ]
    )


def test_what_is_about_ovn_is_skipped_elsewhere(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-rs", "-s", "-k", "_of_ov or either")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "features: ('skydive',)",
            f"SKIPPED*it is about the network backend ovn, {OTHER} ovs",
        ]
    )


@pytest.mark.parametrize("way", ["option", "ini", "file", "variable"])
def test_every_way_to_say_it(
    project: pytest.Pytester, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--kollalab-backend=ovn"] if way == "option" else []
    if way == "ini":
        project.makeini("[pytest]\nkollalab_backend = ovn\n")
    elif way == "file":
        project.path.joinpath("kollalab.toml").write_text('[network]\nbackend = "ovn"\n')
    elif way == "variable":
        monkeypatch.setenv("KOLLALAB_BACKEND", "ovn")
    result = project.runpytest_subprocess("--collect-only", "-s", *given)
    result.stdout.fnmatch_lines(["kollalab: *network backend ovn*", "features: ('compute',)"])


def test_a_configured_feature_that_does_not_suit_is_a_usage_error(
    project: pytest.Pytester,
) -> None:
    project.path.joinpath("kollalab.toml").write_text('features = ["sfc"]\n')
    result = project.runpytest_subprocess("--kollalab-backend=ovn", "-k", "servers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*the feature sfc does not work with the network backend ovn",
            "*it works with ovs",
            "*sfc is asked for by the configuration",
        ]
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('"ovm"', "*there is no network backend 'ovm'"),
        ("", "*the marker kollalab_backend takes names of network backends"),
    ],
)
def test_a_marker_names_backends(pytester: pytest.Pytester, given: str, said: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.kollalab_backend({given})
        def test_marked():
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_a_fixture_of_ones_own_named_ovn_asks_for_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def ovn():
            return 1

        def test_it(ovn):
            assert ovn == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
