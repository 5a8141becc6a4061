"""Patches of other projects' software. A patch must apply completely, or it is an error.

A folder of patches has the format of `quilt` and Kolla: the file `series` lists the patches in
order, and paths in them are relative to the folder that they are applied in (`patch -p0`). Headers
follow Debian's DEP-3.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

SERIES = "series"
# No fuzz: all context lines of a patch must match.
COMMAND = ("patch", "--batch", "--forward", "--fuzz=0", "--strip=0", "--no-backup-if-mismatch")
_CHANGED = re.compile(r"^\+\+\+ (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Patch:
    """One patch.

    Attributes:
        path: The file of the patch.
        header: The fields of its DEP-3 header.
        files: The paths that it changes.
    """

    path: Path
    header: Mapping[str, str]
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in messages: folder and file."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def title(self) -> str:
        """What it changes, in one line."""
        return self.header["Description"].partition("\n")[0]

    @property
    def reason(self) -> str:
        """Why it is needed, in one paragraph."""
        return " ".join(self.header["Description"].split("\n", 1)[1].split())


def read(path: Path) -> Patch:
    """Read a patch."""
    head, _, change = path.read_text(encoding="utf-8").partition("\n\n")
    header = dict(HeaderParser().parsestr(head).items())
    return Patch(path, header, tuple(_CHANGED.findall(change)))


def series(folder: Path, shared: Path | None = None) -> list[Patch]:
    """The patches of a folder in their order. Empty if the folder does not exist.

    Args:
        folder: The folder with the list.
        shared: The folder of the patches that are listed and are not in `folder`.
    """
    if not folder.is_dir():
        return []
    names = (folder / SERIES).read_text(encoding="utf-8").split()
    own = [folder / name for name in names]
    return [read(path if shared is None or path.is_file() else shared / path.name) for path in own]


def apply(patches: Iterable[Patch], folder: Path) -> None:
    """Apply patches to the files in a folder.

    Raises:
        StageError: A patch does not fit.
    """
    for patch in patches:
        argv = [*COMMAND, "--reject-file=-", f"--directory={folder}", f"--input={patch.path}"]
        try:
            run(argv)
        except CommandError as error:
            raise StageError(
                f"the patch {patch.name} does not fit",
                details=f"{error.details}\nit was made for {patch.header['Project']}",
                hint="adapt the patch to the version that is installed; "
                "with `stock = true` in kollalab.toml a lab is deployed without patches",
            ) from error


def lay(patches: Iterable[Patch], stock: Path, folder: Path) -> None:
    """Copy only the files that the patches change from `stock` to `folder`, and patch them.

    Raises:
        StageError: A patch does not fit.
    """
    found = list(patches)
    for file in (file for patch in found for file in patch.files):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if (stock / file).is_file():
            shutil.copyfile(stock / file, target)
    apply(found, folder)
