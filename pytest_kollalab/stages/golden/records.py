"""The record and configuration of a cloud as an archive, without what is of its host or user."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Record
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.states.saves import CLOUD
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import StageError

# Where the folders of the host were, in what travels.
ELSEWHERE = "/kollalab"
# Made anew for each lab.
OWN = ("ansible.cfg",)
# Keys of what a provider made that tell of its host.
OF_HOST = ("ssh_config", "ssh_key", "clone", "docker", "jump", "uri")


def pack(saved: Path, home: Path, target: Path) -> None:
    """Write the archive.

    Args:
        saved: The folder of the saved state, with the record `cloud.json` and the folder `cloud`.
        home: The state folder, whose paths are replaced.
        target: The archive: a plain tar file.

    Raises:
        StageError: There is no record of a cloud.
    """
    record = records.load(saved / f"{CLOUD}.json")
    if record is None:
        raise StageError("the golden state has no record of a cloud")
    made = record.read(CloudMade)
    etc = saved / CLOUD / "etc"

    def moved(text: str) -> str:
        return text.replace(str(made.etc.parent), f"{ELSEWHERE}/cloud").replace(
            str(home), ELSEWHERE
        )

    texts = {f"{CLOUD}.json": moved(json.dumps(dataclasses.asdict(_plain(record))))}
    for path in sorted(etc.rglob("*")):
        if path.is_file() and path.name not in OWN:
            name = f"{CLOUD}/etc/{path.relative_to(etc)}"
            texts[name] = moved(path.read_text(encoding="utf-8"))
    with tarfile.open(target, "w") as tar:
        for name, text in texts.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            tar.addfile(member, io.BytesIO(data))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into an empty folder.

    Raises:
        StageError: It has something else than plain files below the folder.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            target = (folder / member.name).resolve()
            if not member.isreg() or not target.is_relative_to(folder.resolve()):
                raise StageError(f"the golden state has a file {member.name!r}, which is refused")
            source = tar.extractfile(member)
            assert source is not None, "it is a plain file"
            files.write(target, source.read().decode())


def nodes(made: NodesMade) -> dict[str, Any]:
    """What a provider made, as JSON that tells nothing of its host."""
    return {name: value for name, value in made.to_json().items() if name not in OF_HOST}


def read_nodes(table: Mapping[str, Any]) -> NodesMade:
    """The nodes of a state that came. They cannot be reached: they are only cloned from.

    Raises:
        StageError: They are not described as this version describes nodes.
    """
    nowhere = {name: f"{ELSEWHERE}/{name}" for name in ("ssh_config", "ssh_key")}
    try:
        made: Made = NodesMade.from_json({**table, **nowhere})
    except ValueError as error:
        raise StageError("the golden state describes no nodes", details=str(error)) from error
    assert isinstance(made, NodesMade)
    return made


def _plain(record: Record) -> Record:
    """A record without what a build says of itself."""
    return dataclasses.replace(record, run="", needs={})
