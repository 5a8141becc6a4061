"""Image folders: Kolla image templates that a feature or a plugin adds."""

from __future__ import annotations

import hashlib
import re
import shutil
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.digest import digest as short_digest
from pytest_kollalab.system.digest import sha256_of
from pytest_kollalab.system.errors import ConfigError, StageError

TEMPLATE = "Dockerfile.j2"
DOWNLOAD_TIMEOUT = 60.0
FROM = re.compile(r"^FROM\s+(?P<from>.+?)\s*$", re.MULTILINE)
KOLLA = re.compile(
    r"\{\{\s*namespace\s*\}\}/\{\{\s*image_prefix\s*\}\}(?P<name>[\w-]+):\{\{\s*tag\s*\}\}"
    # The first stage of a multi-stage build has a name.
    r"(?:\s+AS\s+\w+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Given:
    """A file for an image that the user provides.

    Attributes:
        into: Its path below the folder of templates.
        source: Its path or URL.
        sha256: Its SHA-256, in hexadecimal.
    """

    into: str
    source: str
    sha256: str

    def fetch(self, folder: Path) -> None:
        """Copy or download the file to its place below `folder`. Raises StageError."""
        target = folder / self.into
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if "://" in self.source:
                with (
                    urllib.request.urlopen(self.source, timeout=DOWNLOAD_TIMEOUT) as answer,
                    target.open("wb") as file,
                ):
                    shutil.copyfileobj(answer, file)
            else:
                shutil.copyfile(self.source, target)
        except (OSError, ValueError) as error:
            raise StageError(f"{self.source} cannot be fetched", details=str(error)) from error
        found = sha256_of(target)
        if found != self.sha256.lower():
            target.unlink()
            raise StageError(
                f"{self.source} is not what it should be",
                details=f"its SHA-256 is {found}, and {self.sha256} is wanted",
                hint="correct the checksum in kollalab.toml, if you trust the file",
            )
        target.chmod(0o755)


@dataclass(frozen=True)
class Folder:
    """A folder with the layout of Kolla's own `docker/`: each folder with a template is an image.

    Attributes:
        path: The folder.
        names: The names of its images.
        parents: The lab's images that its images are built on.
        digest: The digest of all its files.
        given: Files of the user that are copied into it for the build.
    """

    path: Path
    names: tuple[str, ...]
    parents: tuple[str, ...]
    digest: str
    given: tuple[Given, ...] = ()

    def tag(self, tag: str) -> str:
        """The tag of its images, if the lab's images have the given one.

        The tags differ, so that the lab's images are the same with and without such folders.
        """
        return short_digest(tag, self.digest)


def read(path: Path, given: Iterable[Given] = ()) -> Folder:
    """Read a folder.

    Args:
        path: The folder.
        given: Files of the user for its images.

    Raises:
        ConfigError: It has no image, or one that is not built on a Kolla image.
    """
    templates = sorted(path.rglob(TEMPLATE))
    if not templates:
        raise ConfigError(
            f"{path} has no image",
            details=f"there is no {TEMPLATE} below it",
            hint=f"give each image a folder of its name with a {TEMPLATE} in it",
        )
    names = {template.parent.name for template in templates}
    parents = {_parent(template) for template in templates} - names
    laid = tuple(given)
    whole = digest(path)
    if laid:
        whole = short_digest(whole, sorted([each.into, each.sha256.lower()] for each in laid))
    return Folder(path, tuple(sorted(names)), tuple(sorted(parents)), whole, laid)


def digest(folder: Path) -> str:
    """A digest of the names, modes and contents of all files of a folder except byte code."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            runs = bool(path.stat().st_mode & 0o100)
            whole.update(f"{path.relative_to(folder)}\0{runs}\0{content}\n".encode())
    return whole.hexdigest()


def check_apart(folders: Iterable[Folder], taken: Iterable[str]) -> None:
    """Check that all names of images are unique.

    Args:
        folders: The folders.
        taken: The names of Kolla's own images.

    Raises:
        ConfigError: Two images have the same name.
    """
    owner = dict.fromkeys(taken, "Kolla")
    for folder in folders:
        for name in folder.names:
            if name in owner:
                raise ConfigError(
                    f"there are two images named {name}",
                    details=f"one is of {owner[name]}, one of {folder.path}",
                    hint="give the added one another name; a Kolla variable such as "
                    "`neutron_server_image_full` makes Kolla-Ansible use it",
                )
            owner[name] = str(folder.path)


def tags(folders: Iterable[Folder], tag: str) -> dict[str, str]:
    """The tag of each added image, by its name."""
    return {name: folder.tag(tag) for folder in folders for name in folder.names}


def _parent(template: Path) -> str:
    found = FROM.search(template.read_text(encoding="utf-8"))
    kolla = KOLLA.fullmatch(found["from"]) if found is not None else None
    if kolla is None:
        raise ConfigError(
            f"{template} is not built on an image of Kolla",
            hint="begin it with: FROM {{ namespace }}/{{ image_prefix }}base:{{ tag }}",
        )
    return kolla["name"]
