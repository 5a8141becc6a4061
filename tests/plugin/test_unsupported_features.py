"""A host that cannot build a feature's images: its tests are skipped, with the reason."""

from __future__ import annotations

import pytest

from tests.plugin.small_lab import CONFTEST

TESTS = """
import pytest

def test_plain():
    pass

@pytest.mark.kollalab_feature("sfc")
def test_chain(kolla_images):
    pass

@pytest.mark.kollalab_feature("skydive")
def test_marked():
    pass

def test_by_fixture(skydive):
    pass
"""
WHY = "no feature skydive: GOPROXY=off: Go may fetch nothing on this host; name a binary for it: *"


@pytest.fixture(autouse=True)
def without_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")


def test_the_tests_of_the_feature_alone_are_skipped(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["feature skydive is left out: GOPROXY=off: *", f"SKIPPED*{WHY}"])


def test_the_plan_says_so_before_anything_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["cloud *build*", "feature skydive is left out: GOPROXY=off: *kollalab.toml"]
    )


def test_where_images_are_pulled_the_feature_is_left_out(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    (pytester.path / "kollalab.toml").write_text('[images]\nmode = "pull"\n')
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*no feature skydive: its images can only be built*"])


def test_a_binary_takes_the_obstacle_away(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    (pytester.path / "skydive").write_bytes(b"")
    (pytester.path / "kollalab.toml").write_text(
        f'[skydive]\nbinary = "skydive"\nsha256 = "{"0" * 64}"\n'
    )
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*left out*")


def test_a_binary_without_its_checksum_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    (pytester.path / "kollalab.toml").write_text('[skydive]\nbinary = "skydive"\n')
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*skydive.binary needs skydive.sha256*"])
