"""Options, their ini twins, and messages for what is wrong."""

from __future__ import annotations

import re

import pytest

from pytest_kollalab.settings.config import Config, Invocation, Options
from pytest_kollalab.settings.declare import plain_settings

SHOW = """
import pytest
from pytest_kollalab.plugin.session import session_key

def pytest_report_header(config):
    session = config.stash[session_key]
    return [f"options: {session.options}", f"config: {session.settings}"]
"""


@pytest.fixture
def shown(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(SHOW)
    pytester.makepyfile("def test_plain(): pass")
    return pytester


def test_every_option_is_in_the_help_with_its_ini_twin(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_subprocess("--help").stdout.str()
    known = plain_settings(Invocation, Config, Options)
    assert {"config", "plan", "release", "keep", "clone_of", "workarounds"} < set(known)
    for each in known.values():
        assert re.search(rf"^  {each.flag}\b", text, re.MULTILINE)
        assert f"{each.ini} (" in text


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
        ("artifacts", "out", "artifacts='*/out'"),
        ("labs", "2", "labs=2"),
        ("hosts", "there", "hosts=('there',)"),
        ("provider_uri", "there", "provider_uri='there'"),
        ("guests", "server", "guests='server'"),
    ],
)
def test_option_and_ini_twin_mean_the_same(
    shown: pytest.Pytester, name: str, value: str, seen: str
) -> None:
    more = ["--kollalab-provider=docker"] if name == "hosts" else []
    result = shown.runpytest_subprocess(f"--kollalab-{name.replace('_', '-')}={value}", *more)
    result.stdout.fnmatch_lines([f"options: *{seen.replace('[', '[[]')}*"])
    shown.makeini(f"[pytest]\nkollalab_{name} = {value}")
    result = shown.runpytest_subprocess(*more)
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
        ([], "skydive = 3", "*are a table, such as [[]skydive]*"),
        ([], "[globals]\nmade = 1979-01-01", "*globals.made has the wrong type*"),
        ([], "[globals]\nall = [1, {at = 07:32:00}]", "*globals.all.2.at has the wrong type*"),
        (["--kollalab-config=."], None, "*cannot be read*"),
        ([], "release = '2026.3'", "*what now: known: 2026.1, 2026.2"),
        ([], "features = ['sfx']", "*did you mean 'sfc'?*"),
        (["--kollalab-provider=dokcer"], None, "*did you mean 'docker'?*"),
        (["--kollalab-name=A B"], None, "*cannot be the name of a lab*"),
        (["--kollalab-until=node"], None, "*did you mean 'nodes'?*"),
        (["--kollalab-fresh=cluod"], None, "*did you mean 'cloud'?*"),
        (["--kollalab-keep=maybe"], None, "*what now: known: always, auto, failed, never"),
        (["--kollalab-keep=maybe"], None, "*--kollalab-keep: 'maybe' is not known"),
        (["--kollalab-labs=two"], None, "*--kollalab-labs: 'two' is no whole number"),
        (["--kollalab-workarounds=forbit"], None, "*did you mean 'forbid'?*"),
        (["--kollalab-release=2026.3"], None, "*what now: known: 2026.1, 2026.2"),
        (["--kollalab-golden=kept"], None, "*did you mean 'keep'?*"),
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
    assert text.count("what now: ") == 1
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("name", ["destroy", "plan", "stock"])
def test_what_is_no_boolean_in_the_ini_file_is_a_usage_error(
    pytester: pytest.Pytester, name: str
) -> None:
    pytester.makeini(f"[pytest]\nkollalab_{name} = maybe\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: *tox.ini: kollalab_{name}: 'maybe' is no boolean", "*write true or false"]
    )
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_mistake_in_the_ini_file_is_a_usage_error_too(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkollalab_keep = alway\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*tox.ini: kollalab_keep: 'alway' is not known", "*did you mean 'always'?*"]
    )


def test_the_environment_wins_over_the_ini_file_and_an_option_over_that(
    shown: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.makeini("[pytest]\nkollalab_keep = failed\nkollalab_name = a\nkollalab_until = nodes\n")
    monkeypatch.setenv("KOLLALAB_KEEP", "always")
    monkeypatch.setenv("KOLLALAB_NAME", "b")
    monkeypatch.setenv("KOLLALAB_UNTIL", "")
    monkeypatch.setenv("KOLLALAB_FRESH", "nodes cloud")
    result = shown.runpytest_subprocess("--kollalab-name=c")
    result.stdout.fnmatch_lines(["*name='c'*keep='always'*fresh=('nodes', 'cloud')*until='nodes'*"])


def test_a_mistake_in_the_environment_names_the_variable(
    shown: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLLALAB_STOCK", "perhaps")
    result = shown.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*KOLLALAB_STOCK: 'perhaps' is no boolean", "*write true or false"]
    )


def test_a_path_counts_from_where_it_is_written(
    shown: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder, lab = shown.path, shown.mkdir("here"), shown.mkdir("lab")
    shown.makeini("[pytest]\nkollalab_config = lab/mine.toml\nkollalab_artifacts = out\n")
    (lab / "mine.toml").write_text('[run]\nregistry_ca = "ca.pem"\nartifacts = "not-this"\n')
    monkeypatch.chdir(folder)
    result = shown.runpytest_subprocess("..")
    result.stdout.fnmatch_lines([f"*artifacts='{root}/out'*registry_ca='{lab}/ca.pem'*"])
    result = shown.runpytest_subprocess("..", "--kollalab-artifacts=out")
    result.stdout.fnmatch_lines([f"*artifacts='{folder}/out'*"])
    (folder / "mine.toml").write_text('[run]\nartifacts = "out"\n')
    result = shown.runpytest_subprocess(
        "..", "--kollalab-config=mine.toml", "--override-ini=kollalab_artifacts="
    )
    result.stdout.fnmatch_lines([f"*artifacts='{folder}/out'*"])


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("tool.pytest", 'kollalab_labs = 2\nkollalab_plan = true\nkollalab_fresh = ["cloud"]'),
        ("tool.pytest", 'kollalab_labs = "2"\nkollalab_plan = "true"\nkollalab_fresh = "cloud"'),
        (
            "tool.pytest.ini_options",
            'kollalab_labs = 2\nkollalab_plan = true\nkollalab_fresh = ["cloud"]',
        ),
    ],
)
def test_pyproject_takes_values_with_types_and_text(
    shown: pytest.Pytester, table: str, text: str
) -> None:
    shown.makepyprojecttoml(f'[{table}]\nkollalab_keep = "failed"\n{text}\n')
    result = shown.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*keep='failed'*labs=2*fresh=('cloud',)*", "tools *build*"])


def test_a_wrong_type_in_pyproject_is_told(shown: pytest.Pytester) -> None:
    shown.makepyprojecttoml("[tool.pytest]\nkollalab_labs = [2]\n")
    result = shown.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*pyproject.toml: kollalab_labs has the wrong type", "*write a whole number"]
    )


def test_a_file_of_pytests_own_takes_values_with_types(shown: pytest.Pytester) -> None:
    (shown.path / "pytest.toml").write_text("[pytest]\nkollalab_labs = 2\n")
    shown.runpytest_subprocess().stdout.fnmatch_lines(["*labs=2*"])


FEATURE = """
from dataclasses import dataclass
from pytest_kollalab.features.base import Feature
from pytest_kollalab.settings.declare import setting

@dataclass(frozen=True)
class GreeterConfig:
    greeting: str = setting("hello", "what it says")

def pytest_kollalab_features():
    return Feature("greeter", settings=GreeterConfig)
"""


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[greeeter]\n", "*unknown table [[]greeeter[]]*"),
        ("[greeeter]\n", "*did you mean 'greeter'?*"),
        ("[greeter]\ngreting = 'hi'\n", "*kollalab.toml: unknown key greeter.greting"),
        ("[greeter]\ngreeting = 3\n", "*kollalab.toml: greeter.greeting has the wrong type"),
        ("[greeter]\ngreeting = 'hi'\n", None),
    ],
)
def test_a_feature_has_a_table_of_its_own(
    pytester: pytest.Pytester, toml: str, message: str | None
) -> None:
    pytester.makeconftest(FEATURE)
    pytester.makepyfile("def test_plain(): pass")
    (pytester.path / "kollalab.toml").write_text(toml)
    result = pytester.runpytest_subprocess()
    if message is None:
        result.assert_outcomes(passed=1)
    else:
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])
        assert "Traceback" not in result.stderr.str() + result.stdout.str()
