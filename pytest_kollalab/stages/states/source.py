"""The golden state of another lab as a source of nodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.features import passwords
from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NodesMade, Origin
from pytest_kollalab.stages.cloud import readdress
from pytest_kollalab.stages.states.saves import CLOUD
from pytest_kollalab.system import files


@dataclass(frozen=True)
class CloneSource:
    """A golden state that nodes can be cloned from.

    Attributes:
        lab: Name of the other lab.
        label: The provider's name of the saved state.
        made: The nodes of the other lab.
        folder: The folder with the record and files of the other lab's cloud.
        features: The features of the other lab's cloud.
        held: Keeps other processes from changing that lab while it is cloned.
        former: The name that the other lab had when it was deployed, if that was another one.
        bring: Makes the saved state, of a lab of this tag, if the provider does not have it yet.
        drop: Called when the nodes are made.
    """

    lab: str
    label: str
    made: NodesMade
    folder: Path
    features: Sequence[Feature]
    held: Callable[[], AbstractContextManager[None]]
    former: str = ""
    bring: Callable[[Tag], None] = lambda _: None
    drop: Callable[[], None] = lambda: None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, in the order of their addresses."""
        nodes = self.made.nodes
        return tuple(sorted(nodes, key=lambda name: IPv4Address(nodes[name].provisioning)))

    def origin(self) -> Origin:
        """Describe the source for a provider."""
        secrets = passwords.read(self.folder / CLOUD / "etc" / "passwords.yml")
        files = partial(readdress.files, self.features, str(secrets["database_password"]))
        return Origin(self.lab, self.label, self.made, files, self.former)

    def keep(self, folder: Path) -> None:
        """Copy what the stage `cloud` will need into a folder. An existing folder is replaced."""
        shutil.rmtree(folder, ignore_errors=True)
        files.private(folder)
        shutil.copy2(self.folder / f"{CLOUD}.json", folder)
        shutil.copytree(self.folder / CLOUD / "etc", folder / "etc")
