"""Options, their ini twins, and messages for what is wrong."""

from __future__ import annotations

import pytest

OPTIONS = (
    "config",
    "name",
    "provider",
    "keep",
    "golden",
    "fresh",
    "until",
    "release",
    "workarounds",
    "artifacts",
    "plan",
    "destroy",
)

SHOW = """
import pytest
from pytest_kollalab.plugin.hooks import settings_key

def pytest_report_header(config):
    settings, options = config.stash[settings_key]
    return [f"options: {options}", f"config: {settings}"]
"""


@pytest.fixture
def shown(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(SHOW)
    pytester.makepyfile("def test_plain(): pass")
    return pytester


def test_every_option_is_in_the_help_with_its_ini_twin(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_subprocess("--help").stdout.str()
    for name in OPTIONS:
        assert f"--kollalab-{name}" in text
        assert f"kollalab_{name} (" in text


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("name", "other", "name='other'"),
        ("provider", "docker", "provider='docker'"),
        ("keep", "failed", "keep='failed'"),
        ("golden", "keep", "golden='keep'"),
        ("until", "nodes", "until='nodes'"),
        ("workarounds", "forbid", "workarounds='forbid'"),
        ("fresh", "cloud", "fresh=('cloud',)"),
        ("artifacts", "out", "artifacts='out'"),
    ],
)
def test_option_and_ini_twin_mean_the_same(
    shown: pytest.Pytester, name: str, value: str, seen: str
) -> None:
    result = shown.runpytest_subprocess(f"--kollalab-{name}={value}")
    result.stdout.fnmatch_lines([f"options: *{seen.replace('[', '[[]')}*"])
    shown.makeini(f"[pytest]\nkollalab_{name} = {value}")
    result = shown.runpytest_subprocess()
    result.stdout.fnmatch_lines([f"options: *{seen.replace('[', '[[]')}*"])


def test_the_option_wins_over_the_ini_file_and_that_over_the_toml_file(
    shown: pytest.Pytester,
) -> None:
    shown.path.joinpath("kollalab.toml").write_text('[run]\nkeep = "failed"\nname = "fromtoml"\n')
    shown.makeini("[pytest]\nkollalab_keep = always\n")
    shown.runpytest_subprocess().stdout.fnmatch_lines(["*name='fromtoml'*keep='always'*"])
    result = shown.runpytest_subprocess("--kollalab-keep=never", "--kollalab-name=a")
    result.stdout.fnmatch_lines(["*name='a'*keep='never'*"])


def test_stages_can_be_asked_for_fresh_more_than_once(shown: pytest.Pytester) -> None:
    result = shown.runpytest_subprocess("--kollalab-fresh=nodes", "--kollalab-fresh=cloud")
    result.stdout.fnmatch_lines(["*fresh=('nodes', 'cloud')*"])


def test_a_file_beside_the_tests_is_found(shown: pytest.Pytester) -> None:
    folder = shown.mkdir("scenarios")
    folder.joinpath("kollalab.toml").write_text('features = ["sfc"]\n')
    folder.joinpath("test_x.py").write_text("def test_x(): pass\n")
    shown.runpytest_subprocess("scenarios/test_x.py::test_x").stdout.fnmatch_lines(
        ["config: *features=('sfc',)*"]
    )


def test_a_file_can_be_named(shown: pytest.Pytester) -> None:
    shown.path.joinpath("mine.toml").write_text('features = ["sfc"]\n')
    result = shown.runpytest_subprocess("--kollalab-config=mine.toml")
    result.stdout.fnmatch_lines(["config: *features=('sfc',)*"])
    shown.makeini("[pytest]\nkollalab_config = mine.toml\n")
    shown.runpytest_subprocess().stdout.fnmatch_lines(["config: *features=('sfc',)*"])


@pytest.mark.parametrize(
    ("arguments", "toml", "message"),
    [
        ([], "relase = '2026.1'", "*unknown key relase*"),
        ([], "[nodes]\nsuit = 'x'", "*did you mean 'suite'?*"),
        ([], "release = ", "*not valid TOML*"),
        (["--kollalab-config=none.toml"], None, "*no configuration file*none.toml*"),
        ([], "release = 2026.1", "*release has the wrong type*"),
        ([], "features = 'sfc'", "*what now: write a list of strings"),
        ([], "[run]\nthreads = '2'", "*what now: write a whole number"),
        ([], "[nodes]\nsuite = 13", "*it is 13, a whole number"),
        ([], "images = 'pull'", "*what now: write a table"),
        ([], "release = '2026.2'", "*did you mean '2026.1'?*"),
        ([], "features = ['sfx']", "*did you mean 'sfc'?*"),
        (["--kollalab-provider=dokcer"], None, "*did you mean 'docker'?*"),
        (["--kollalab-name=A B"], None, "*cannot be the name of a lab*"),
        (["--kollalab-until=node"], None, "*did you mean 'nodes'?*"),
        (["--kollalab-fresh=cluod"], None, "*did you mean 'cloud'?*"),
        (["--kollalab-keep=maybe"], None, "*invalid choice: 'maybe'*"),
        (["--kollalab-workarounds=forbit"], None, "*invalid choice: 'forbit'*"),
        (["--kollalab-release=2026.2"], None, "*did you mean '2026.1'?*"),
        (["--kollalab-golden=kept"], None, "*invalid choice: 'kept'*"),
    ],
)
def test_a_mistake_is_a_usage_error_without_traceback(
    pytester: pytest.Pytester, arguments: list[str], toml: str | None, message: str
) -> None:
    pytester.makepyfile("def test_nodes(lab_nodes): pass")
    if toml is not None:
        pytester.path.joinpath("kollalab.toml").write_text(toml)
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    text = result.stderr.str()
    assert text.count("what now: ") == 1 or "invalid choice" in text
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_mistake_in_the_ini_file_is_a_usage_error_too(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkollalab_keep = alway\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*did you mean 'always'?*"])
