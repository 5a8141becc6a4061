"""SSH: the configuration and the command lines."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.system import ssh

ADDRESSES = {"controller-1": "10.64.0.11", "compute-1": "10.64.0.12"}


def test_a_command_is_quoted_for_the_shell_of_the_node() -> None:
    argv = ssh.Ssh(Path("/c")).argv("compute-1", ["echo", "a b", "$HOME"])
    assert argv == ["ssh", "-F", "/c", "compute-1", "echo 'a b' '$HOME'"]


def test_without_a_command_it_is_a_shell() -> None:
    assert ssh.Ssh(Path("/c")).argv("compute-1", tty=True) == ["ssh", "-F", "/c", "-t", "compute-1"]


def test_the_configuration_names_each_node_and_trusts_only_known_keys() -> None:
    text = ssh.config_text(ADDRESSES, Path("/k"), Path("/kh"), Path("/tmp/s"), "run1")
    assert "Host controller-1\n    HostName 10.64.0.11\n" in text
    assert "StrictHostKeyChecking yes" in text
    assert "ControlPath /tmp/s/run1-%n" in text


def test_known_hosts_has_names_and_addresses_and_no_comment() -> None:
    keys = {name: f"ssh-ed25519 KEY{name} comment\n" for name in ADDRESSES}
    assert ssh.known_hosts_text(ADDRESSES, keys).splitlines()[0] == (
        "controller-1,10.64.0.11 ssh-ed25519 KEYcontroller-1"
    )


def test_sockets_have_short_names_in_a_private_folder() -> None:
    folder = ssh.control_folder()
    assert len(str(folder)) < 40
    assert folder.stat().st_mode & 0o077 == 0
