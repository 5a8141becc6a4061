"""The command line: verbs, their common options, mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_kollalab.cli import frame, main, ssh
from pytest_kollalab.cli.show import show_lab
from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import FAILED, READY, Record
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.docker.provider import DockerProvider
from tests import made

VERBS = ("up", "down", "plan", "show", "ssh")


@pytest.fixture
def kollalab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, with cache and state of the test's own and no configuration file about."""
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.fixture
def nodes(tmp_path: Path) -> None:
    """A record of two nodes."""
    nodes = made.nodes(ssh_config=Path("/some/ssh_config"))
    record = Record("nodes", "k", "r", READY, inputs={}, made=nodes.to_json())
    records.save(tmp_path / "state" / "labs" / "lab" / "nodes.json", record)


def test_help_lists_every_verb(kollalab: Callable[..., Result]) -> None:
    text = kollalab("--help").output
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", text, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_name_config_and_provider(
    kollalab: Callable[..., Result], verb: str
) -> None:
    text = kollalab(verb, "--help").output
    for option in ("--name", "--config", "--provider"):
        assert option in text


def test_showing_no_lab_says_how_to_make_one(kollalab: Callable[..., Result]) -> None:
    result = kollalab("show")
    assert result.exit_code == frame.EXIT_FAILED
    assert "kollalab up" in result.output


@pytest.mark.usefixtures("kollalab")
def test_who_made_what_all_labs_share_is_told_that_there_is_no_lab(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_lab(frame.make_lab((), name="shared"), name="shared")
    assert capsys.readouterr().out.startswith("there is no lab shared; `kollalab up")


def test_the_state_of_no_lab_is_not_cleared(kollalab: Callable[..., Result]) -> None:
    result = kollalab("clear", "golden")
    assert result.exit_code == frame.EXIT_FAILED
    assert "there is no lab lab" in result.output
    assert "kollalab save" not in result.output


@pytest.mark.usefixtures("nodes")
def test_show_lists_the_nodes(kollalab: Callable[..., Result]) -> None:
    text = kollalab("show").output
    assert "controller-1" in text
    assert "management 10.64.1.11" in text
    assert READY in text
    assert "  docker        tcp://127.0.0.1:1 (DOCKER_HOST)\n" in text


@pytest.mark.usefixtures("nodes")
def test_show_has_the_addresses_of_apis_that_no_catalogue_has(
    kollalab: Callable[..., Result], tmp_path: Path
) -> None:
    cloud = made.cloud("core", "skydive", "gone-with-its-plugin")
    record = Record("cloud", "k", "r", READY, inputs={}, made=cloud.to_json())
    records.save(tmp_path / "state" / "labs" / "lab" / "cloud.json", record)
    text = kollalab("show").output
    assert "  endpoint      http://10.64.1.11:5000\n" in text
    assert "  Skydive       http://10.64.1.11:8085\n" in text
    assert "OpenDaylight" not in text


@pytest.mark.parametrize(
    "words",
    ["down", "destroy", "gc", "show", "logs", "list", "doctor", "ssh controller-1", "topology"],
)
def test_verbs_that_build_nothing_leave_tables_of_a_conftest_alone(
    kollalab: Callable[..., Result], tmp_path: Path, words: str
) -> None:
    (tmp_path / "kollalab.toml").write_text("[banner]\ntext = 'hello'\n[skydive]\n")
    result = kollalab(*words.split())
    assert "unknown table" not in result.output
    assert result.output
    (tmp_path / "kollalab.toml").write_text("[skydive]\nagnt = 1\n")
    if words != "list":
        assert kollalab(*words.split()).exit_code == frame.EXIT_USAGE


@pytest.mark.parametrize(
    "words", [("plan",), ("up",), ("upgrade", "--to", "2026.2"), ("push",), ("pull",)], ids=" ".join
)
def test_verbs_that_build_say_whose_a_table_may_be(
    kollalab: Callable[..., Result], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "kollalab.toml").write_text("[banner]\ntext = 'hello'\n")
    result = kollalab(*words)
    assert result.exit_code == frame.EXIT_USAGE
    assert "unknown table [banner]" in result.output
    assert "conftest.py is known to pytest only" in result.output
    assert "entry point" in result.output
    (tmp_path / "kollalab.toml").write_text("[skydvie]\n")
    assert "did you mean 'skydive'?" in kollalab(*words).output


def test_ssh_without_nodes_is_a_message(kollalab: Callable[..., Result]) -> None:
    result = kollalab("ssh", "controller-1")
    assert result.exit_code == frame.EXIT_FAILED
    assert "there is no lab lab" in result.output
    assert isinstance(result.exception, SystemExit)


def test_ssh_to_a_lab_that_is_not_there_names_those_that_are(
    kollalab: Callable[..., Result], nodes: object
) -> None:
    result = kollalab("ssh", "--name", "nosuch", "compute-1")
    assert result.exit_code == frame.EXIT_FAILED
    assert "there is no lab nosuch (known: lab)" in result.output


@pytest.mark.usefixtures("nodes")
def test_ssh_to_an_unknown_node_names_the_nearest(kollalab: Callable[..., Result]) -> None:
    result = kollalab("ssh", "controler-1")
    assert result.exit_code == frame.EXIT_USAGE
    assert "did you mean 'controller-1'?" in result.output


def test_hints_have_the_options_in_use(kollalab: Callable[..., Result]) -> None:
    result = kollalab("show", "--name", "mine", "--provider", "libvirt")
    assert result.exit_code == frame.EXIT_FAILED
    assert "what now: kollalab up --name mine --provider libvirt\n" in result.output
    text = kollalab("topology", "--name", "mine", "--provider", "docker").output
    assert "what now: kollalab up --name mine --provider docker\n" in text
    text = kollalab("rollback", "a", "--name", "mine").output
    assert text.count("--name mine") == 1


def test_what_is_said_after_ctrl_c_has_the_options_in_use(
    kollalab: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(lab: Lab) -> str:
        lab.engine.was_locked = True
        raise KeyboardInterrupt

    monkeypatch.setattr(Lab, "remove", stopped)
    text = kollalab("down", "--name", "mine", "--provider", "libvirt").output
    assert "what exists of lab mine: kollalab down --name mine --provider libvirt\n" in text


@pytest.mark.usefixtures("nodes")
def test_a_lab_that_is_not_there_is_told_with_those_that_are(
    kollalab: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DockerProvider, "owners", lambda *_: [])
    monkeypatch.setattr(DockerProvider, "destroy", lambda *_: None)
    result = kollalab("down", "--name", "lap")
    assert result.output == "there is no lab lap (did you mean 'lab'?)\n"
    assert result.exit_code == 0
    assert kollalab("show", "--name", "zz").output == (
        "error: there is no lab zz (known: lab)\n  what now: kollalab up --name zz\n"
    )


def test_labs_are_listed(kollalab: Callable[..., Result], tmp_path: Path) -> None:
    assert kollalab("list").output == "there are no labs; `kollalab up` makes one\n"
    labs = tmp_path / "state" / "labs"
    nodes = {"provider": "libvirt", "uri": "qemu+ssh://far/system"}
    records.save(
        labs / "mine" / "nodes.json", Record("nodes", "k", "r", READY, nodes, created="then")
    )
    cloud = Record("cloud", "k", "r", FAILED, {"features": ["core", "sfc"]}, created="now")
    records.save(labs / "mine" / "cloud.json", cloud)
    nodes = {"provider": "docker"}
    records.save(
        labs / "other" / "nodes.json", Record("nodes", "k", "r", READY, nodes, created="then")
    )
    (labs / "other" / "passing").touch()
    assert [line.split() for line in kollalab("list").output.splitlines()] == [
        "mine cloud failed libvirt core sfc on qemu+ssh://far/system since now".split(),
        "other nodes ready docker since then goes with its session".split(),
    ]
    told = json.loads(kollalab("list", "--json").output)
    assert [(row["name"], row["stage"], row["stays"]) for row in told] == [
        ("mine", "cloud", True),
        ("other", "nodes", False),
    ]


@pytest.mark.parametrize(("verb", "meant"), [("dwon", "down"), ("statsu", ""), ("shwo", "show")])
def test_a_verb_that_is_not_there_names_the_nearest(
    kollalab: Callable[..., Result], verb: str, meant: str
) -> None:
    result = kollalab(verb)
    assert result.exit_code == frame.EXIT_USAGE
    assert ("Did you mean" in result.output) == bool(meant)
    assert meant in result.output


def test_options_behind_the_node_belong_to_the_command(kollalab: Callable[..., Result]) -> None:
    result = kollalab("ssh", "controller-1", "--name", "mine")
    assert "write the options first: kollalab ssh --name mine controller-1" in result.output


@pytest.mark.usefixtures("nodes")
def test_ssh_leaves_the_options_of_the_command_alone(
    kollalab: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(ssh, "become", became.append)
    result = kollalab("ssh", "--name", "lab", "controller-1", "docker", "ps", "-a", "--name", "x")
    assert result.exit_code == 0, result.output
    (argv,) = became
    assert argv[0] == "ssh"
    assert "/some/ssh_config" in argv
    assert argv[-6:] == ["controller-1", "docker", "ps", "-a", "--name", "x"]


@pytest.mark.parametrize("verb", ["up", "plan", "show", "down"])
def test_a_broken_configuration_is_a_message(
    kollalab: Callable[..., Result], tmp_path: Path, verb: str
) -> None:
    (tmp_path / "kollalab.toml").write_text("relase = '2026.1'\n")
    result = kollalab(verb)
    assert result.exit_code == frame.EXIT_USAGE
    assert "unknown key relase" in result.output
    assert "'release'" in result.output


def test_a_file_in_scenarios_is_found_and_one_that_is_named_wins(
    kollalab: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "kollalab.toml").write_text("[run]\nname = 'fromfile'\n")
    assert "no lab fromfile" in kollalab("show").output
    (tmp_path / "mine.toml").write_text("[run]\nname = 'mine'\n")
    assert "no lab mine" in kollalab("show", "--config", "mine.toml").output
    assert "no lab other" in kollalab("show", "--name", "other").output


def test_down_of_nothing_is_fine_without_docker(
    kollalab: Callable[..., Result], tmp_path: Path
) -> None:
    result = kollalab("down")
    assert "Traceback" not in result.output
    assert not isinstance(result.exception, ImportError)


@pytest.mark.parametrize("status", [READY, FAILED])
@pytest.mark.usefixtures("kollalab")
def test_a_lab_is_built_with_the_features_that_it_has(tmp_path: Path, status: str) -> None:
    settings = frame.read_settings()
    assert frame.lab_to_build(settings, ()).feature_names == frame.DEFAULT_FEATURES
    record = Record("cloud", "k", "r", status, inputs={"features": ["core", "bgpvpn"]})
    records.save(tmp_path / "state" / "labs" / "lab" / "cloud.json", record)
    assert frame.lab_to_build(settings, ()).feature_names == ("core", "bgpvpn")
    assert frame.lab_to_build(settings, ("sfc",)).feature_names == ("sfc",)


def test_a_feature_that_only_pytest_may_know_is_told_as_such(
    kollalab: Callable[..., Result],
) -> None:
    result = kollalab("plan", "--feature", "noticeboard")
    assert result.exit_code == frame.EXIT_USAGE
    assert "there is no feature 'noticeboard'" in result.output
    assert "in a conftest.py is known to pytest only" in result.output
