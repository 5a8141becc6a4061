"""The registry: its image, its store in the cache, and copying images into it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.engine.records import HOST_LABEL
from pytest_kollalab.providers.base import STORE
from pytest_kollalab.stages.images import NAMESPACE
from pytest_kollalab.system import daemon, identity, temporary
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.debian import LABELS
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import CommandError, StageError

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "kollalab/registry"
PUSHED = "pushed "
SPOOL = "push"


@dataclass
class Copies:
    """The images that a build copies into the store, in all rounds.

    Attributes:
        total: How many there are.
        done: How many are in the store.
    """

    total: int
    done: int = 0

    def next(self) -> str:
        """Count one more; returns for example `3 of 15`."""
        self.done += 1
        return f"{self.done} of {self.total}"


def describe(base: str) -> list[str]:
    """The inputs of the registry's image, as JSON."""
    return [base, *(path.read_text(encoding="utf-8") for path in _files())]


def reference(base: str) -> str:
    """The name of the registry's image."""
    return f"{REPOSITORY}:{digest(describe(base))}"


def exists(client: DockerClient, image: str) -> bool:
    """Whether docker has an image."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def ensure_image(client: DockerClient, base: str, log: Path) -> str:
    """Build the registry's image if docker does not have it, and return its name.

    Raises:
        StageError: The image could not be built.
    """
    from docker.errors import APIError, BuildError

    name = reference(base)
    if exists(client, name):
        return name
    lines: list[str] = []
    try:
        _, output = client.images.build(
            path=str(_files()[0].parent),
            tag=name,
            buildargs={"BASE": base},
            labels=LABELS,
            # Like kolla-build, so that the Debian mirror is reached as from the host.
            network_mode="host",
            rm=True,
            forcerm=True,
        )
        lines = [str(part.get("stream", "")) for part in output if isinstance(part, dict)]
    except (APIError, BuildError) as error:
        if isinstance(error, BuildError):
            lines = [str(part.get("stream", "")) for part in error.build_log]
        raise StageError(
            "the image of the registry could not be built",
            details="".join(lines[-20:]) or str(error),
            hint="is the Debian mirror reachable?",
            log=log,
        ) from error
    finally:
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)
    return name


def stored(store: Path, tag: str, names: Iterable[str]) -> list[str]:
    """The images that the store has with this tag."""
    return [name for name in names if (_tag(store, name, tag) / "current" / "link").is_file()]


def lacking(store: Path, tag: str, names: Sequence[str]) -> str | None:
    """Say which images the store does not have with this tag, or return None if it has all."""
    present = stored(store, tag, names)
    missing = [name for name in names if name not in present]
    if not missing:
        return None
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"{missing[0]}{more} not in the registry"


def forget(store: Path, tag: str) -> None:
    """Remove the tag from every image of the store. Its blobs stay until garbage collection."""
    for folder in _repositories(store).glob(f"*/_manifests/tags/{tag}"):
        shutil.rmtree(folder)


def sweep(client: DockerClient, store: Path) -> None:
    """Remove the leftovers of a killed push. No other process may push to this store meanwhile."""
    for container in client.containers.list(all=True, filters={"name": f"^kollalab-{SPOOL}-"}):
        # Others may push to another cache of this host, or to one of the same path on another host.
        here = container.labels.get(HOST_LABEL) in identity.of_host()
        if here and str(store) in {m.get("Source") for m in container.attrs.get("Mounts", ())}:
            container.remove(force=True, v=True)
    for folder in store.parent.glob(f"{SPOOL}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def push(
    image: str,
    store: Path,
    references: Sequence[str],
    labels: Mapping[str, str],
    log: Path,
    say: Callable[[str], None],
    copies: Copies | None = None,
) -> None:
    """Copy images from docker into the store.

    A temporary container without a network runs the registry and pushes to it. No setting of the
    docker daemon changes, and no port is opened. Layers that the store has are not copied again.

    Args:
        image: The image of the registry.
        store: The folder of the store.
        references: The references of the images.
        labels: Labels for the container.
        log: The log file.
        say: Called with each line of progress.
        copies: Counts these images and those of other calls. By default these alone.

    Raises:
        StageError: An image cannot be copied.
    """
    if not references:
        return
    store.mkdir(parents=True, exist_ok=True)
    docker = daemon.resolve()
    counted = copies or Copies(len(references))

    def follow(line: str) -> None:
        if line.startswith(PUSHED):
            point("images:pushing")
            say(f"{line.removeprefix(PUSHED)}: in the registry ({counted.next()})")

    with temporary.scratch(store.parent, SPOOL) as spool:
        archive = Path(spool) / "images.tar"
        name = f"kollalab-{Path(spool).name}"
        try:
            # With one archive, shared layers are read and written only once.
            docker.run(["save", "--output", archive, *references], log_file=log)
            point("images:saved")
            argv = ["run", "--rm", "--init", "--network", "none", "--name", name]
            argv += [f"--label={key}={value}" for key, value in labels.items()]
            argv += ["--volume", f"{store}:{STORE}", "--volume", f"{spool}:/spool:ro"]
            argv += [image, "push", "/spool/images.tar", *references]
            docker.run(argv, log_file=log, on_line=follow)
        except CommandError as error:
            raise StageError(
                "the images could not be copied into the registry's store",
                details=error.details,
                hint=f"is there room in {store.parent}?",
                log=log,
            ) from error
        finally:
            # Ctrl-C ends the docker client, but not always the container.
            docker.run(["rm", "--force", "--volumes", name], check=False)


def _repositories(store: Path) -> Path:
    return store / "docker" / "registry" / "v2" / "repositories" / NAMESPACE


def _tag(store: Path, name: str, tag: str) -> Path:
    return _repositories(store) / name / "_manifests" / "tags" / tag


def _files() -> list[Path]:
    folder = Path(str(resources.files("pytest_kollalab.stages.images"))) / "registry_image"
    return sorted(folder.iterdir())
