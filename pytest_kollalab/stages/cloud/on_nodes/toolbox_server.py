"""Runs Ansible modules in Kolla's toolbox, each in a child that has the libraries already.

It listens at the socket that it is given, which is root's, and ends when nobody has asked for some
forty times as long as it took to start. A question is a line of JSON: name, args, user, check_mode
and diff. The answer is what the module writes, up to the end of the connection.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import pwd
import runpy
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

# The releases of ansible-core whose modules are known to be run as here (see `perform`).
KNOWN = ("2.20", "2.21")
COLLECTIONS = Path("/usr/share/ansible/collections")
# What most modules spend their time on.
LIBRARIES = (
    "ansible.module_utils.basic",
    "ansible.release",
    "ansible_collections.openstack.cloud.plugins.module_utils.openstack",
    "ansible_collections.community.mysql.plugins.module_utils.mysql",
    "keystoneauth1.identity.generic.password",
    "openstack",
    "openstack.identity.v3._proxy",
    "pymysql",
)
# Whose modules they are; some libraries find out where their files are when they are imported.
USER = "ansible"
IDLE = 40


def main(path: str) -> None:
    """Serve at `path` until it is quiet."""
    began = time.monotonic()
    sys.path.append(str(COLLECTIONS))
    with contextlib.suppress(KeyError):
        os.environ["HOME"] = pwd.getpwnam(USER).pw_dir
    for name in LIBRARIES:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Children share what is there, for as long as nobody counts it.
    gc.collect()
    gc.freeze()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.umask(0o177)
    server.bind(path)
    os.umask(0o022)
    server.listen(64)
    server.settimeout(IDLE * max(1.0, time.monotonic() - began))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            os.unlink(path)
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            server.close()
            answer(connection)
            os._exit(0)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Read the question, and have the module write its answer."""
    with connection.makefile("rb") as stream:
        asked = json.loads(stream.readline())
    version = ansible()
    if not fits(version):
        said = {"kollalab": "not here", "ansible": version}
        connection.sendall(json.dumps(said).encode() + b"\n")
        return
    module = find(asked["name"])
    if module is None:
        connection.sendall(b'{"kollalab": "not here"}\n')
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(connection.fileno(), 1)
    os.dup2(connection.fileno(), 2)
    connection.close()
    if asked["user"] != USER:
        forget()
    become(asked["user"])
    perform(module, asked)
    sys.stdout.flush()
    sys.stderr.flush()


def ansible() -> str:
    """The version of ansible-core; empty where there is none."""
    with contextlib.suppress(ImportError):
        return str(importlib.import_module("ansible.release").__version__)
    return ""


def fits(version: str) -> bool:
    """Whether modules of this ansible-core are known to be run as here."""
    return any(f"{version}.".startswith(f"{known}.") for known in KNOWN)


def forget() -> None:
    """Have what was imported imported anew."""
    known = {name.partition(".")[0] for name in LIBRARIES}
    for name in [name for name in sys.modules if name.partition(".")[0] in known]:
        del sys.modules[name]


def find(name: str) -> str | None:
    """The Python module of a module of a collection; None for what needs more than a module.

    A name without its collection is looked for in all of them. What Ansible itself has is not
    found, nor is what an action goes with: that runs where ansible-playbook does.
    """
    *where, last = name.split(".")
    if len(where) not in (0, 2):
        return None
    pattern = "/".join(where or ("*", "*"))
    root = COLLECTIONS / "ansible_collections"
    found = list(root.glob(f"{pattern}/plugins/modules/{last}.py"))
    if len(found) != 1 or (not where and builtin(last)):
        return None
    if (found[0].parents[1] / "action" / f"{last}.py").exists():
        return None
    return ".".join(found[0].relative_to(COLLECTIONS).with_suffix("").parts)


def builtin(name: str) -> bool:
    """Whether Ansible has a module of that name itself."""
    with contextlib.suppress(ImportError):
        return importlib.util.find_spec(f"ansible.modules.{name}") is not None
    return False


def become(user: str) -> None:
    """Be what `docker exec --user` makes of a process."""
    known = pwd.getpwnam(user)
    os.initgroups(user, known.pw_gid)
    os.setgid(known.pw_gid)
    os.setuid(known.pw_uid)
    os.environ["HOME"] = known.pw_dir
    os.chdir("/")


def perform(module: str, asked: dict[str, Any]) -> None:
    """Run the module as its own main program, as Ansible's wrapper does."""
    from ansible.module_utils import basic

    given = {
        **asked["args"],
        "_ansible_check_mode": asked["check_mode"],
        "_ansible_diff": asked["diff"],
        "_ansible_module_name": asked["name"],
        "_ansible_remote_tmp": "/tmp",
        "_ansible_version": ansible(),
    }
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    # What else it raises ends this process, which then says so as every Python does.
    with contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
