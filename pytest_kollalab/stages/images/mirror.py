"""Copies images from another registry into the store without loading them into docker."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.providers.base import STORE
from pytest_kollalab.stages.images import NAMESPACE
from pytest_kollalab.stages.images.registry import SPOOL
from pytest_kollalab.stages.images.upstream import Upstream
from pytest_kollalab.system import daemon, temporary
from pytest_kollalab.system.debian import LABELS
from pytest_kollalab.system.errors import CommandError, StageError

if TYPE_CHECKING:
    from docker import DockerClient

MIRRORED = "mirrored "


@dataclass(frozen=True)
class Copy:
    """One image to copy.

    Attributes:
        image: The name of the image.
        digest: Its digest in the other registry.
        tag: Its tag in the store.
        loaded: Whether to load it into docker as well.
    """

    image: str
    digest: str
    tag: str
    loaded: bool = False

    @property
    def reference(self) -> str:
        """Its reference in the store."""
        return f"{NAMESPACE}/{self.image}:{self.tag}"

    def line(self, upstream: Upstream) -> str:
        """The line for mirror.sh: source, destination and archive."""
        source = f"{upstream.host}/{upstream.repository(self.image)}@{self.digest}"
        return f"{source} {self.reference} {f'{self.image}.tar' if self.loaded else '-'}"


def auth_file(upstream: Upstream) -> str:
    """The login as docker's config.json. Empty if there is no login."""
    if upstream.login is None:
        return ""
    return json.dumps({"auths": {upstream.host: {"auth": upstream.login.basic}}})


def copy(
    image: str, store: Path, upstream: Upstream, copies: Sequence[Copy], labels: Mapping[str, str],
    log: Path, say: Callable[[str], None], step: Callable[[str], None],
) -> None:  # fmt: skip
    """Copy images into the store.

    A temporary container runs the registry on a loopback port and copies the images into it. It
    uses the host's network, so that it can reach the same registries as the host. There every local
    user reaches its port, so it takes only a random password. That and the login are passed through
    standard input and never written to disk.

    Args:
        image: The image of the registry.
        store: The folder of the store.
        upstream: The other registry.
        copies: The images to copy.
        labels: Labels for the container.
        log: The log file.
        say: Called with each line of progress.
        step: Called with the name of each image that was copied.

    Raises:
        StageError: An image cannot be copied.
    """
    if not copies:
        return
    store.mkdir(parents=True, exist_ok=True)
    docker = daemon.resolve()
    done = 0

    def follow(line: str) -> None:
        nonlocal done
        if line.startswith(MIRRORED):
            done += 1
            name = line.removeprefix(MIRRORED)
            say(f"{name}: in the registry ({done} of {len(copies)})")
            step(name)

    with temporary.scratch(store.parent, SPOOL) as scratch:
        spool = Path(scratch)
        (spool / "list").write_text("".join(f"{c.line(upstream)}\n" for c in copies))
        name = f"kollalab-{spool.name}"
        argv = ["run", "--rm", "--init", "--interactive", "--network", "host"]
        argv += ["--name", name, "--tmpfs", "/run", "--env", f"TLS={str(upstream.tls).lower()}"]
        argv += [f"--label={key}={value}" for key, value in labels.items()]
        argv += ["--volume", f"{store}:{STORE}", "--volume", f"{spool}:/spool"]
        argv += ["--volume", f"{_files()}:/mirror:ro"]
        if upstream.ca is not None:
            (spool / "certs").mkdir()
            shutil.copy(upstream.ca, spool / "certs" / "ca.crt")
            argv += ["--volume", f"{spool / 'certs'}:/certs:ro"]
        argv += [image, "sh", "/mirror/mirror.sh", "/spool/list"]
        password = secrets.token_hex(32)
        hidden = [password]
        if upstream.login is not None:
            hidden += [upstream.login.password, upstream.login.basic]
        given = f"{password}\n{auth_file(upstream)}"
        try:
            docker.run(argv, input=given, secrets=hidden, log_file=log, on_line=follow)
            for each in copies:
                if each.loaded:
                    docker.run(["load", "--input", spool / f"{each.image}.tar"], log_file=log)
        except CommandError as error:
            raise StageError(
                f"images could not be copied from {upstream.host}",
                details="\n".join(error.details.splitlines()[-4:]),
                hint="what was copied stays: fix the cause, then run again",
                log=log,
            ) from error
        finally:
            # Ctrl-C ends the docker client, but not always the container.
            docker.run(["rm", "--force", "--volumes", name], check=False)


def build_on(client: DockerClient, base: str, folder: Path, name: str, log: Path) -> None:
    """Build an override: an image from the Dockerfile of a folder, with a pulled image as BASE.

    Args:
        client: The docker daemon.
        base: The reference of the pulled image.
        folder: The folder with the Dockerfile.
        name: The reference of the new image.
        log: The log file.

    Raises:
        StageError: The image could not be built.
    """
    from docker.errors import APIError, BuildError

    lines: list[str] = []
    try:
        _, output = client.images.build(
            path=str(folder), tag=name, buildargs={"BASE": base}, labels=LABELS,
            network_mode="host", rm=True, forcerm=True,
        )  # fmt: skip
        lines = [str(part.get("stream", "")) for part in output if isinstance(part, dict)]
    except (APIError, BuildError) as error:
        if isinstance(error, BuildError):
            lines = [str(part.get("stream", "")) for part in error.build_log]
        raise StageError(
            f"the override of {name} could not be built",
            details="".join(lines[-20:]) + str(error),
            hint=f"correct {folder / 'Dockerfile'}; it begins with: ARG BASE, FROM ${{BASE}}",
            log=log,
        ) from error
    finally:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)


def _files() -> Path:
    return Path(str(resources.files("pytest_kollalab.stages.images"))) / "mirror_files"
