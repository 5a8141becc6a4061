"""Shortcuts that use private parts of Ansible, and the versions they are known to work with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from pytest_kollalab.releases.releases import Release
from pytest_kollalab.stages.cloud.on_nodes import toolbox_server
from pytest_kollalab.stages.tools import MITOGEN as MITOGEN_PIN

ANSIBLE = "ansible-core"


@dataclass(frozen=True)
class Shortcut:
    """A faster way that works only with some versions of other projects.

    Attributes:
        name: Its name, for people.
        versions: The versions of each project that it works with, for example `2.19`.
        instead: What is done without it.
    """

    name: str
    versions: Mapping[str, tuple[str, ...]]
    instead: str

    def unfit(self, found: Mapping[str, str]) -> str | None:
        """Why it is not used with these versions, in one line, or None if it is used.

        Args:
            found: The installed version of each project.
        """
        for project, known in self.versions.items():
            version = found.get(project, "")
            if not any(f"{version}.".startswith(f"{each}.") for each in known):
                return (
                    f"{self.name} is not used: it is known to work with {project} "
                    f"{' or '.join(known)}, and {version or 'none'} is installed; {self.instead}"
                )
        return None


# Mitogen replaces much of Ansible, and the strategy used here replaces a part of Mitogen.
MITOGEN = Shortcut(
    "Mitogen",
    {"mitogen": ("0.3.54",), ANSIBLE: ("2.19", "2.20")},
    "a Python is started for each module, which takes longer",
)
TOOLBOX = Shortcut(
    "the toolbox server",
    {ANSIBLE: toolbox_server.KNOWN},
    "modules in kolla_toolbox are run by ansible-runner, which takes longer",
)


def installed(folder: Path) -> dict[str, str]:
    """The versions of the Python packages in a folder `site-packages`, by their names."""
    found = distributions(path=[str(folder)])
    return {each.metadata["Name"].lower().replace("_", "-"): each.version for each in found}


def in_tools(release: Release) -> dict[str, str]:
    """The versions of the Python packages that the stage `tools` installs, by name."""
    text = (release.data / "tools.txt").read_text(encoding="utf-8")
    return _pinned(f"{text}\n{MITOGEN_PIN}")


def in_images(release: Release) -> dict[str, str]:
    """The versions of the Python packages in images that are built here, by name."""
    text = (release.data / "requirements" / "upper-constraints.txt").read_text(encoding="utf-8")
    return _pinned(text)


def _pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
