"""The way to a docker daemon over SSH."""

from __future__ import annotations

import pytest

from pytest_kollalab.system import tunnel


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("ssh://me@other:2222", ["-l", "me", "-p", "2222", "--", "other"]),
        ("ssh://other", ["--", "other"]),
    ],
)
def test_ssh_is_called_as_docker_does(uri: str, words: list[str]) -> None:
    argv = tunnel.command(uri)
    assert argv[0] == "ssh"
    # A password cannot be asked for: nobody would see the question.
    assert "BatchMode=yes" in argv
    assert argv[-len(words) - 3 :] == [*words, "docker", "system", "dial-stdio"]


def test_a_host_that_begins_like_an_option_is_none() -> None:
    assert tunnel.command("ssh://-oProxyCommand=x")[-5:-3] == ["--", "-oproxycommand=x"]
