"""Random identities of a state folder and of this host, which tell equal paths and names apart."""

from __future__ import annotations

import os
import pwd
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_kollalab.system import files
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import StateError
from pytest_kollalab.system.process import mark

FILE = "identity"
# Not below the state folder: it must outlive that one. A container has a file of its own here.
SYSTEM = Path("/var/lib/kollalab")


def of_state(folder: Path) -> str:
    """The identity of a state folder, or an empty string if it has none.

    Raises:
        StateError: The identity cannot be read.
    """
    try:
        return _read(folder / FILE)
    except OSError as error:
        raise StateError(
            f"{folder / FILE} cannot be read",
            details=f"{error.strerror}: which labs belong to this state folder is not known",
            hint="make it readable for this user; do not delete it while there are labs",
        ) from error


def make_state(folder: Path) -> str:
    """The identity of a state folder, which is made if it has none."""
    return of_state(folder) or _make(folder / FILE, 0o600)


def of_host() -> frozenset[str]:
    """The identities under which this user has labelled resources of this host."""
    found = []
    for folder in _folders():
        with suppress(OSError):
            found.append(_read(folder / FILE))
    return frozenset(_of_machine(each) for each in found if each)


def make_host() -> str:
    """The identity of this host, made if it has none; an empty string if that is impossible.

    It is for all users of the host if root makes it, else for this user.
    """
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if folder == SYSTEM:
                # All users of the host read it, whatever the umask of root.
                folder.chmod(0o755)
            return _of_machine(_read(folder / FILE) or _make(folder / FILE, 0o644))
    return ""


def user() -> str:
    """The user of this process and its host, for people: `name@host`."""
    uid = os.getuid()
    name = str(uid)
    with suppress(KeyError):
        # A user in a container often has no entry.
        name = pwd.getpwuid(uid).pw_name
    return f"{name}@{socket.gethostname()}"


def _folders() -> Iterator[Path]:
    yield SYSTEM
    with suppress(RuntimeError):
        # There is no home.
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        yield Path(data, "kollalab")


def _of_machine(identity: str) -> str:
    # Several hosts may share a home, and machines of one template may share what is random here.
    machine = ""
    with suppress(OSError):
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    return digest(machine, identity)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _make(path: Path, mode: int) -> str:
    files.private(path.parent)
    temporary = path.with_name(f".{FILE}.{mark()}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(uuid.uuid4().hex + "\n", encoding="utf-8")
        temporary.chmod(mode)
        with suppress(FileExistsError):
            # Of two processes that make it at once, the second takes that of the first.
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path)
