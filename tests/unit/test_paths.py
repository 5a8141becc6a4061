"""Paths of this host with odd characters: used as they are, or refused at once."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.plugin.fixtures import Node
from pytest_kollalab.settings.convert import full_path
from pytest_kollalab.settings.read import read
from pytest_kollalab.stages.cloud import deploy
from pytest_kollalab.system import debian, ssh
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.run import run

# As a home folder, a workspace of Jenkins, or a branch in a name may have them.
ODD = "a b&c+d%2Fe~f=g(h)#i@j%n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KOLLALAB_CACHE", "KOLLALAB_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def odd() -> Iterator[Path]:
    """A folder with odd characters and a path that is short enough for sockets."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=ODD) as folder:
        yield Path(folder)


def config(folder: Path) -> Path:
    path = folder / "ssh_config"
    text = ssh.config_text(
        {"compute-1": "192.0.2.1"}, folder / "key", folder / "known_hosts", folder / "s", "run1"
    )
    path.write_text(text)
    return path


def test_ssh_reads_the_paths_of_its_configuration_as_they_are(odd: Path) -> None:
    said = run(["ssh", "-G", "-F", config(odd), "compute-1"]).stdout.splitlines()
    found = {name: value for name, _, value in (line.partition(" ") for line in said)}
    for name, file in (("identityfile", "key"), ("userknownhostsfile", "known_hosts")):
        assert found[name].strip('"').replace("%%", "%") == str(odd / file)
    assert found["controlpath"] == f"{odd}/s/run1-compute-1"


def test_the_folder_of_sockets_is_found_again(odd: Path) -> None:
    ssh.Ssh(config(odd)).argv("compute-1")
    assert (odd / "s").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("make", [deploy.ansible_cfg, deploy.stock_ansible_cfg])
def test_ansible_gets_the_whole_path(make: object, odd: Path) -> None:
    # As in ansible/config/manager.py and ansible/plugins/connection/ssh.py.
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(make(odd / "ssh_config"))  # type: ignore[operator]
    told = parser.get("ssh_connection", "ssh_args", raw=True)
    assert shlex.split(told) == ["-F", str(odd / "ssh_config")]


def test_testinfra_gets_the_whole_path(odd: Path) -> None:
    host: Any = Node("compute-1", {}, ssh.Ssh(config(odd))).host
    assert host.backend.ssh_config == str(odd / "ssh_config")


def test_mmdebstrap_gets_the_whole_path(odd: Path) -> None:
    argv = debian.mmdebstrap("trixie", "http://mirror", odd / "extra.tar", odd / "rootfs.tar")
    (hook,) = [each for each in argv if "tar-in" in each]
    assert shlex.split(hook.removeprefix("--customize-hook=")) == [
        "tar-in",
        str(odd / "extra.tar"),
        "/",
    ]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("~/a b", "{home}/a b/labs/x"),
        ("state", "{here}/state/labs/x"),
        ("./p%2Fq/../state", "{here}/state/labs/x"),
        ("", "{home}/.local/state/kollalab/labs/x"),
    ],
)
def test_the_folder_of_state_is_expanded_and_absolute(
    told: str, wanted: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "here").mkdir()
    monkeypatch.chdir(home / "here")
    monkeypatch.setenv("KOLLALAB_STATE", told)
    found = default_paths().lab("x")
    assert found == Path(wanted.format(home=home, here=home / "here"))


def test_a_relative_folder_of_the_standard_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert default_paths().cache == home / ".cache" / "kollalab"


@pytest.mark.parametrize("character", list("\":;,'`$\\{\n"))
def test_what_cannot_be_quoted_everywhere_is_refused_at_once(
    character: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLLALAB_STATE", f"{home}/a{character}b")
    with pytest.raises(ConfigError, match="cannot be used: its path has") as caught:
        default_paths()
    assert repr(character) in caught.value.brief
    assert caught.value.hint == "set KOLLALAB_STATE to another folder"
    monkeypatch.chdir(home)
    result = CliRunner().invoke(main, ["plan"])
    assert result.exit_code == 2
    assert "cannot be used: its path has" in result.output


def test_a_tilde_in_a_setting_is_the_home_folder(home: Path) -> None:
    (home / "kollalab.toml").write_text('[run]\nartifacts = "~/out put"\nregistry_ca = "ca.pem"\n')
    found = read(home / "kollalab.toml").options
    assert found.artifacts == str(home / "out put")
    assert found.registry_ca == str(home / "ca.pem")
    assert full_path("https://x/~y", home) == "https://x/~y"
    with pytest.raises(ConfigError, match="~nobody-of-this-name/x cannot be used"):
        full_path("~nobody-of-this-name/x", home)
