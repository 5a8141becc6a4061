"""The hooks as pytest asks them: a conftest's answers, watchers, messages for what is wrong."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.plugin import small_lab

CONFTEST = """
from pytest_kollalab.features.base import Feature

def pytest_kollalab_features():
    return Feature("balancer", requires=("sfc",), fixtures=("balancer",))

def pytest_kollalab_globals(release):
    return {"neutron_dns_domain": f"lab-{release}."}
"""

TEST = """
import pytest

@pytest.fixture
def balancer(lab_nodes):
    pass

def test_it(balancer):
    pass
"""


def test_a_feature_is_asked_for_by_its_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-W", "error", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "feature balancer, from conftest.py",
            "variable neutron_dns_domain = 'lab-2026.1.', from conftest.py",
        ]
    )


def test_the_fixture_of_a_feature_has_the_cloud_that_has_the_feature(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        small_lab.CONFTEST
        + CONFTEST
        + """

import pytest

@pytest.fixture(scope="session")
def openstack_cloud(kollalab):
    kollalab.ensure("cloud")
"""
    )
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=1)
    made = pytester.path.joinpath("trace").read_text().splitlines()
    assert "create cloud" in made


def test_a_marker_asks_too_and_a_wrong_name_knows_the_added_ones(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kollalab_feature("balancr")
        def test_it():
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no feature 'balancr'*", "*did you mean 'balancer'?*"])


def test_a_clash_with_another_plugin_names_both(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        other="def pytest_kollalab_globals(): return {'neutron_dns_domain': 'other.'}",
        test_it=TEST,
    )
    result = pytester.runpytest_subprocess("-p", "other", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*conftest.py and other do not agree on the Kolla variable neutron_dns_domain*"]
    )
    assert "Traceback" not in result.stderr.str()


CONFLICT = """
from pytest_kollalab.features.base import Feature

def pytest_kollalab_features():
    return Feature("mesh", conflicts={"sfc": "both classify at the port"})
"""

ASK = """
import pytest

@pytest.mark.kollalab_feature("{}")
def test_it(lab_nodes):
    pass
"""


@pytest.mark.parametrize("arguments", [(), ("--kollalab-plan",)], ids=["session", "plan"])
def test_tests_that_ask_for_conflicting_features_are_named(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makeconftest(CONFLICT)
    pytester.makepyfile(test_mesh=ASK.format("mesh"), test_sfc=ASK.format("sfc"))
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*the features mesh and sfc cannot be in one lab*",
            "*both classify at the port*",
            "*mesh is asked for by test_mesh.py::test_it*",
            "*sfc is asked for by test_sfc.py::test_it*",
        ]
    )
    result = pytester.runpytest_subprocess("--kollalab-plan", "test_mesh.py")
    assert result.ret == pytest.ExitCode.OK


def test_a_configured_feature_conflicts_too(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFLICT)
    pytester.makepyfile(test_mesh=ASK.format("mesh"))
    pytester.makefile(".toml", kollalab='features = ["sfc"]')
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*sfc is asked for by the configuration*"])


def test_a_hook_that_does_not_exist_is_told(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_kollalab_feature(): pass")
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess()
    assert result.ret != pytest.ExitCode.OK
    text = result.stdout.str() + result.stderr.str()
    assert "unknown hook 'pytest_kollalab_feature'" in text


def test_an_added_provider_can_be_chosen_and_others_are_refused(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        def pytest_kollalab_providers():
            return {"hired": lambda options, paths: None}
        """
    )
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("--kollalab-provider=hired")
    result.assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("--kollalab-provider=hird")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'hird' is not known*", "*did you mean 'hired'?*"])


@pytest.mark.parametrize("fixtures", ["fixtures", "hooks"])
def test_a_package_may_use_one_name_in_both_groups_of_entry_points(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, fixtures: str
) -> None:
    fixture = """
        import pytest

        @pytest.fixture
        def balancer(lab_nodes):
            pass
        """
    files = {"__init__": "", "hooks": CONFTEST}
    files[fixtures] = files.get(fixtures, "") + textwrap.dedent(fixture)
    package = pytester.mkdir("package")
    (package / "balancer").mkdir()
    for name, text in files.items():
        (package / "balancer" / f"{name}.py").write_text(text)
    metadata = package / "balancer-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: balancer\nVersion: 1\n")
    groups = f"[kollalab]\nbalancer = balancer.hooks\n[pytest11]\nbalancer = balancer.{fixtures}\n"
    (metadata / "entry_points.txt").write_text(groups)
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=os.pathsep)
    pytester.makepyfile("def test_it(balancer): pass")
    result = pytester.runpytest_subprocess("-W", "error", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["feature balancer, from balancer"])


def test_a_module_that_a_package_brings_and_a_conftest_names_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytester.mkdir("package")
    (package / "balancer.py").write_text(CONFTEST)
    metadata = package / "balancer-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: balancer\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[kollalab]\nbalancer = balancer\n")
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=os.pathsep)
    pytester.makeconftest("pytest_plugins = ['balancer']")
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: balancer is named in pytest_plugins, and an installed package brings it as *",
            "*take 'balancer' out of pytest_plugins in conftest.py*",
        ]
    )
    assert "Traceback" not in result.stderr.str()


def test_a_package_that_cannot_be_imported_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = pytester.mkdir("balancer-1.dist-info")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: balancer\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[kollalab]\nbalancer = no_such_module\n")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: no_such_module, an extension that balancer brings, cannot be imported",
            "*what now*",
        ]
    )
    result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ("fixtures=('balancer')", ["*has a string where fixtures are several", "*('balancer',)"]),
        ("containers={'control': 'a'}", ["*has a string where containers are several"]),
        ("images_from='images'", ["*has a string where images_from are several"]),
        ("images_from=Path('images')", ["*has the wrong type in images_from", "*tuple of Path"]),
        ("playbooks=('a.yml',)", ["*balancer has the wrong type in playbooks", "*tuple of Path"]),
        ("artifacts={'a': ['b']}", ["*balancer has the wrong type in artifacts", "*a string for*"]),
        ("config=('a', 'b')", ["*balancer has the wrong type in config", "*a mapping"]),
        ("globals='a'", ["*balancer has the wrong type in globals", "*a mapping"]),
        ("by_release='2026.1'", ["*balancer has the wrong type in by_release", "*a mapping"]),
        ("by_release={'2026.1': {}}", ["*wrong type in by_release", "*FeatureParts for each*"]),
        ("given='a'", ["*balancer has the wrong type in given", "*a function"]),
        ("settings='a'", ["*balancer has the wrong type in settings", "*a dataclass"]),
        (
            "by_release={'2026.1': FeatureParts(control_images='a')}",
            ["*balancer for 2026.1 has a string where control_images are several"],
        ),
        ("playbooks=(Path('/none.yml'),)", ["*there is no playbook /none.yml", "*balancer names*"]),
    ],
)
def test_a_mistake_in_a_feature_is_told_before_anything_is_built(
    pytester: pytest.Pytester, parts: str, lines: list[str]
) -> None:
    feature = f"return Feature('balancer', {parts})"
    pytester.makeconftest(
        "from pathlib import Path\n"
        "from pytest_kollalab.features.base import Feature, FeatureParts\n"
        f"def pytest_kollalab_features():\n    {feature}\n"
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kollalab_feature("balancer")
        def test_it():
            pass
        """
    )
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines)
    result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        ("images(release)", "'images'"),
        ("features()", "'sfc'"),
        ("artifacts()", "{'file': ['a', 'command']}"),
        ("settings()", "{'hired': 'HiredSettings'}"),
    ],
)
def test_a_hook_that_returns_another_type_is_named(
    pytester: pytest.Pytester, hook: str, answer: str
) -> None:
    pytester.makeconftest(f"def pytest_kollalab_{hook}:\n    return {answer}\n")
    pytester.makepyfile("def test_it(openstack_cloud): pass")
    result = pytester.runpytest_subprocess("--kollalab-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = hook.partition("(")[0]
    result.stderr.fnmatch_lines(
        [f"*hook pytest_kollalab_{name} of conftest.py returned a value of the wrong type"]
    )
    assert answer[1:5] in result.stderr.str()
