"""Errors: what, why, what now; and they survive the way from a worker to the controller."""

from __future__ import annotations

import errno
import os
import pickle
import socket
from pathlib import Path

import docker
import pytest

from pytest_kollalab.system.errors import HostError, KollalabError, StageError, as_message


def test_str_says_what_why_and_what_now() -> None:
    error = KollalabError("it broke", details="line 1\nline 2\n", hint="mend it", log=Path("a.log"))
    assert str(error).splitlines() == [
        "it broke",
        "  line 1",
        "  line 2",
        "  log: a.log",
        "  what now: mend it",
    ]


def test_str_of_a_brief_alone_is_the_brief() -> None:
    assert str(HostError("no docker")) == "no docker"


def test_pickling_keeps_everything() -> None:
    error = StageError("a", details="b", hint="c", log=Path("d"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is StageError
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "kollalab gc --yes"), (errno.EROFS, "KOLLALAB_CACHE"),
     (errno.EACCES, "KOLLALAB_CACHE")],
)  # fmt: skip
def test_a_host_that_refuses_to_write_is_a_message(number: int, hint: str) -> None:
    told = as_message(OSError(number, os.strerror(number), "/some/file"))
    assert isinstance(told, HostError)
    assert told.brief == "/some/file cannot be written"
    assert told.details == os.strerror(number)
    assert hint in told.hint


def test_other_errors_are_what_they_are() -> None:
    for error in (
        OSError("no number"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        KeyError(),
    ):
        assert as_message(error) is error


def test_a_daemon_that_stops_in_the_middle_is_a_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = docker.DockerClient(f"tcp://127.0.0.1:{server.getsockname()[1]}", version="1.41")
    with pytest.raises(OSError, match="refused") as caught:
        client.ping()
    client.close()
    told = as_message(caught.value)
    assert isinstance(told, HostError)
    assert "Connection refused" in told.details
    assert "kollalab doctor" in told.hint
    assert isinstance(as_message(docker.errors.APIError("no room")), HostError)
