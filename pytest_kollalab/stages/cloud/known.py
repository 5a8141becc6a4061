"""What reaches into private parts of Ansible, and the versions that it is known to fit."""

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
    """A quicker way that depends on private parts: it fits some versions of each project.

    `instead` says what is done without it.
    """

    name: str
    versions: Mapping[str, tuple[str, ...]]
    instead: str

    def unfit(self, found: Mapping[str, str]) -> str | None:
        """Why it is not used where these versions are found, in one line; None when it is."""
        for project, known in self.versions.items():
            version = found.get(project, "")
            if not any(f"{version}.".startswith(f"{each}.") for each in known):
                return (
                    f"{self.name} is not used: it is known to work with {project} "
                    f"{' or '.join(known)}, and {version or 'none'} is installed; {self.instead}"
                )
        return None


# Our strategy replaces what Mitogen's module finder calls, and Mitogen itself much of Ansible.
MITOGEN = Shortcut(
    "Mitogen",
    {"mitogen": ("0.3.54",), ANSIBLE: ("2.19",)},
    "a Python is started for each module, which takes longer",
)
TOOLBOX = Shortcut(
    "the toolbox server",
    {ANSIBLE: toolbox_server.KNOWN},
    "modules in kolla_toolbox are run by ansible-runner, which takes longer",
)


def installed(folder: Path) -> dict[str, str]:
    """The versions of the Python packages in a folder `site-packages`, by name."""
    found = distributions(path=[str(folder)])
    return {each.metadata["Name"].lower().replace("_", "-"): each.version for each in found}


def in_tools(release: Release) -> dict[str, str]:
    """The versions of the Python packages that the stage `tools` installs, by name."""
    text = (release.data / "tools.txt").read_text(encoding="utf-8")
    return _pinned(f"{text}\n{MITOGEN_PIN}")


def in_images(release: Release) -> dict[str, str]:
    """The versions of the Python packages that images built here have, by name."""
    text = (release.data / "requirements" / "upper-constraints.txt").read_text(encoding="utf-8")
    return _pinned(text)


def _pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
