"""Asks the server in Kolla's toolbox; module_utils of Ansible, for whatever Python a node has.

Nodes' root reaches the container's files through /proc: no docker exec for a question.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Filled in with the text of toolbox_server.py, and a name that stands for it.
SERVER = ""
NAME = ""
CONTAINER = "kolla_toolbox"
DOCKER = "/var/run/docker.sock"
PYTHON = "/opt/ansible/bin/python3"
FOLDER = "/var/lib/ansible"
LOCK = "/run/kollalab-toolbox.lock"
# Shown to the user once: what is marked so in the results of modules is.
UNKNOWN = (
    "kollalab: the toolbox server is not used: it is not known to work with ansible-core {} "
    "of kolla_toolbox; modules there are run by ansible-runner, which takes longer"
)
# Seconds until a server that was started listens; an emulated processor is thirty times slower.
START = 120.0


class DockerApi(http.client.HTTPConnection):
    """Docker's API at its socket."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=START)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(DOCKER)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON that docker answers. Raises OSError when it refuses."""
        headers = {"Content-Type": "application/json"}
        self.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = self.getresponse()
        text = response.read()
        if response.status >= 300:
            raise OSError(f"docker: {response.status} for {method} {path}")
        try:
            return json.loads(text)
        except ValueError:
            return {}


def ask(
    params: dict[str, Any],
    check_mode: bool,
    diff: bool,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[str, Any] | None:
    """The result of the module that is asked for; None when it has to be run the stock way.

    `warn` is told when the server does not know the Ansible that is there.
    """
    question = json.dumps(
        {
            "name": params["module_name"],
            "args": params.get("module_args") or {},
            "user": params.get("user") or "ansible",
            "check_mode": check_mode,
            "diff": diff,
        }
    )
    if params.get("container_engine") != "docker" or params.get("module_extra_vars"):
        return None
    if "{{" in question or "{%" in question:
        return None
    try:
        connection = connect()
    except (OSError, http.client.HTTPException):
        return None
    with connection:
        # What may have begun is not begun again: from here on there is no other way.
        connection.settimeout(max(params.get("timeout") or 0, START))
        try:
            connection.sendall(question.encode() + b"\n")
            said = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError as error:
            return {"failed": True, "msg": f"{CONTAINER} does not answer: {error}"}
    return answer_in(said.decode(errors="replace"), warn)


def answer_in(said: str, warn: Callable[[str], None] = lambda _: None) -> dict[str, Any] | None:
    """The answer in what server and module wrote; None when the server has no such module."""
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                answer: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if answer.get("kollalab") == "not here":
                if "ansible" in answer:
                    warn(UNKNOWN.format(answer["ansible"] or "no version"))
                return None
            # Written for ansible-playbook, which prints them; a module is given them otherwise.
            for name in ("deprecations", "warnings", "exception"):
                answer.pop(name, None)
            return answer
    text = said.strip()[-2000:]
    return {"failed": True, "msg": f"a module ended in {CONTAINER} without a result: {text}"}


def connect() -> socket.socket:
    """A connection to the server, which is started if there is none. Raises OSError."""
    docker = DockerApi()
    state = docker.call("GET", f"/containers/{CONTAINER}/json")["State"]
    if not state["Running"]:
        raise OSError(f"{CONTAINER} does not run")
    root = f"/proc/{state['Pid']}/root"
    path = f"{root}{FOLDER}/{NAME}.sock"
    try:
        return connected(path)
    except OSError:
        pass
    with Path(LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            # Another one was faster.
            return connected(path)
        except OSError:
            start(docker, root)
        until = time.monotonic() + START
        while True:
            try:
                return connected(path)
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)


def connected(path: str) -> socket.socket:
    """A connection to the socket at the path. Raises OSError when nobody listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def start(docker: DockerApi, root: str) -> None:
    """Start the server in the container."""
    file = f"{FOLDER}/{NAME}.py"
    opened = os.open(root + file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "w") as out:
        out.write(SERVER)
    command = [PYTHON, file, f"{FOLDER}/{NAME}.sock"]
    made = docker.call("POST", f"/containers/{CONTAINER}/exec", {"Cmd": command, "User": "root"})
    docker.call("POST", f"/exec/{made['Id']}/start", {"Detach": True})
