"""The copying of volumes: in a container of its own, so that it works on a remote daemon too."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_kollalab.providers import addresses
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError, StageError

if TYPE_CHECKING:
    from docker import DockerClient

BELOW = "/volumes"
SHELL = ("sh", "-euc")
PYTHON = ("python3", "-Ic")
TIMEOUT = 600
# Where docker keeps what a container wrote tells which folders hide others by attributes that
# only who may administer the system can read and write.
CAPABILITIES = ("SYS_ADMIN",)


class Volumes:
    """The volumes that are copied between, as a container sees all of them.

    They are seen through the one folder that all are in: files are linked within a mount only.
    """

    def __init__(self, client: DockerClient, names: Sequence[str]) -> None:
        found = {name: str(client.api.inspect_volume(name)["Mountpoint"]) for name in names}
        if not all(found.values()):
            raise HostError(
                "docker does not tell where its volumes are",
                hint="saved states need volumes of docker's own driver, `local`",
            )
        self.client = client
        self.root = posixpath.commonpath(list(found.values()))
        self._there = found

    def path(self, name: str, *parts: str) -> str:
        """The path, in the container, of something in a volume."""
        below = posixpath.relpath(self._there[name], self.root)
        return posixpath.normpath(posixpath.join(BELOW, below, *parts))

    def copy(
        self,
        name: str,
        image: str,
        pairs: Sequence[tuple[str, str]],
        trash: str,
        labels: Mapping[str, str],
    ) -> int:
        """Copy the first of each pair to the second; return the bytes that it took."""
        words = [word for pair in pairs for word in pair]
        container = self._start(
            name, image, [*SHELL, _script("copy.sh"), "copy", trash, *words], labels
        )
        point("saves:copying")
        said = self._end(container, "what the nodes' docker keeps could not be copied")
        return 1024 * sum(int(line) for line in said.splitlines() if line.isdecimal())

    def rewrite(
        self,
        name: str,
        image: str,
        folders: Sequence[str],
        moves: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        """Replace words, old -> new, in what docker has recorded in each folder.

        Raises:
            StageError: A file is no longer what docker reads.
        """
        words = (addresses.pattern(moves), json.dumps(dict(moves)))
        self.run(
            name,
            image,
            [*PYTHON, _script("moved.py"), *words, *folders],
            labels,
            otherwise="docker's notes in the nodes could not be rewritten",
        )

    def run(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        labels: Mapping[str, str],
        *,
        otherwise: str,
        also: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command in a container with the volumes and return its output.

        `also` are folders of the daemon's host -> where the container sees them. Raises StageError
        with the text `otherwise`.
        """
        return self._end(self._start(name, image, command, labels, also=also), otherwise)

    def throw_away(
        self, name: str, image: str, trash: Sequence[str], labels: Mapping[str, str]
    ) -> None:
        """Remove folders without waiting for it: that takes long with many files."""
        command = [*SHELL, 'rm -rf "$@"', "rm", *trash]
        self._start(name, image, command, labels, auto_remove=True)

    def _end(self, container: Any, otherwise: str) -> str:
        try:
            code = container.wait(timeout=TIMEOUT)["StatusCode"]
            said: str = container.logs().decode(errors="replace")
        finally:
            container.remove(force=True)
        if code:
            raise StageError(
                otherwise,
                details=said,
                hint="see whether the disk of docker's volumes is full, then run again",
            )
        return said

    def _start(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        labels: Mapping[str, str],
        *,
        also: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        from docker.errors import NotFound

        with suppress(NotFound):
            # A container of a killed run is still doing it.
            self.client.api.remove_container(name, force=True)
        return self.client.containers.run(
            image,
            list(command),
            name=name,
            cap_add=list(CAPABILITIES),
            security_opt=["apparmor=unconfined", "label=disable"],
            network_mode="none",
            volumes={
                folder: {"bind": there, "mode": "rw"}
                for folder, there in {self.root: BELOW, **(also or {})}.items()
            },
            labels=dict(labels),
            detach=True,
            **options,
        )


def _script(name: str) -> str:
    return (files("pytest_kollalab.providers.docker") / name).read_text(encoding="utf-8")
