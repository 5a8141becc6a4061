"""SSH: the configuration and the command lines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.system import ssh
from pytest_kollalab.system.errors import HostError, NoNodeError

ADDRESSES = {"controller-1": "10.64.0.11", "compute-1": "10.64.0.12"}


def test_a_command_is_quoted_for_the_shell_of_the_node() -> None:
    argv = ssh.Ssh(Path("/c")).argv("compute-1", ["echo", "a b", "$HOME"])
    assert argv == ["ssh", "-F", "/c", "compute-1", "echo 'a b' '$HOME'"]


def test_without_a_command_it_is_a_shell() -> None:
    assert ssh.Ssh(Path("/c")).argv("compute-1", tty=True) == ["ssh", "-F", "/c", "-t", "compute-1"]


def test_a_node_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(ssh.config_text(ADDRESSES, tmp_path, tmp_path, tmp_path / "s", "run1"))
    access = ssh.Ssh(config)
    access.check("compute-1")
    with pytest.raises(NoNodeError, match="no node compute-2; there are controller-1, compute-1"):
        access.argv("compute-2")
    # The lab may have got it since.
    more = ADDRESSES | {"compute-2": "10.64.0.13"}
    config.write_text(ssh.config_text(more, tmp_path, tmp_path, tmp_path / "s", "run1"))
    access.check("compute-2")


def test_the_configuration_names_each_node_and_trusts_only_known_keys() -> None:
    text = ssh.config_text(ADDRESSES, Path("/k"), Path("/kh"), Path("/tmp/s"), "run1")
    assert "Host controller-1\n    HostName 10.64.0.11\n" in text
    assert "StrictHostKeyChecking yes" in text
    assert 'ControlPath "/tmp/s/run1-%n"' in text


def test_known_hosts_has_names_and_addresses_and_no_comment() -> None:
    keys = {name: f"ssh-ed25519 KEY{name} comment\n" for name in ADDRESSES}
    assert ssh.known_hosts_text(ADDRESSES, keys).splitlines()[0] == (
        "controller-1,10.64.0.11 ssh-ed25519 KEYcontroller-1"
    )


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name, as a user's folder of state has."""
    with tempfile.TemporaryDirectory(prefix="kl") as folder:
        yield Path(folder)


def test_sockets_are_in_the_folder_of_state(short: Path) -> None:
    folder = ssh.control_folder(short)
    assert folder == short / "ssh"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_long_folder_of_state_is_no_place_for_sockets(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = short / ("x" * 100)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    assert ssh.control_folder(long) == short / "kollalab"
    assert ssh.control_folder(long) in ssh.control_folders(long)


def test_a_folder_that_a_cleaner_took_is_there_again_at_the_next_use(tmp_path: Path) -> None:
    access = ssh.Ssh(config(tmp_path))
    (tmp_path / "sockets").rmdir()
    access.argv("controller-1")
    assert (tmp_path / "sockets").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_refused_at_each_use(tmp_path: Path) -> None:
    access = ssh.Ssh(config(tmp_path))
    access.argv("controller-1")
    (tmp_path / "sockets").chmod(0o777)
    with pytest.raises(HostError, match="not a private folder"):
        access.argv("controller-1")


def test_a_folder_that_became_a_link_is_refused(tmp_path: Path) -> None:
    access = ssh.Ssh(config(tmp_path))
    (tmp_path / "sockets").rmdir()
    (tmp_path / "sockets").symlink_to(tmp_path)
    with pytest.raises(HostError, match="not a private folder"):
        access.argv("controller-1")


def config(folder: Path) -> Path:
    """An ssh_config whose sockets are in a private folder beside it."""
    sockets = ssh.private(folder / "sockets")
    text = ssh.config_text(ADDRESSES, Path("/k"), Path("/kh"), sockets, "run1")
    (folder / "ssh_config").write_text(text)
    return folder / "ssh_config"
