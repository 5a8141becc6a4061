"""The owner of a resource that carries a lab's tag: a state folder, here or on another host."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.system import identity

# In seconds. A state folder may also be absent because its file system is not mounted yet.
ABANDONED = 86400.0


@dataclass(frozen=True)
class Owner:
    """Who has a lab.

    Attributes:
        lab: The name of the lab.
        home: The path of the state folder on the owner's host.
        user: The owner as `name@host`; an older version did not record it.
        mine: Whether it is this state folder.
    """

    lab: str
    home: str
    user: str
    mine: bool

    def __str__(self) -> str:
        who = self.user or "another user, or of an older version"
        return f"{who} (state folder {self.home or 'not recorded'})"


class Ownership:
    """Tells what belongs to the labs of a state folder, and what to nobody any more.

    A resource belongs to the state folder whose random identity it carries. Paths and names prove
    nothing: on another host, or in a container, they may be the same.

    Args:
        home: The state folder.
        abandoned: The age in seconds at which resources of an absent lab belong to nobody.
    """

    def __init__(self, home: Path, abandoned: float = ABANDONED) -> None:
        self.home = home
        self.abandoned = abandoned

    def is_mine(self, labels: Mapping[str, str]) -> bool:
        """Whether a resource belongs to this state folder."""
        state = labels.get(records.STATE_LABEL, "")
        if state:
            return state == identity.of_state(self.home)
        # An older version made it. The path is no proof unless there is such a lab as well.
        return labels.get(records.HOME_LABEL, str(self.home)) == str(self.home) and (
            records.has_records(self.home, labels.get(records.LAB_LABEL, ""))
        )

    def is_nobodys(self, labels: Mapping[str, str]) -> bool:
        """Whether the lab of a resource no longer exists.

        Only the host on which a lab was made can tell: its folder is really absent there. What
        cannot be judged belongs to somebody.
        """
        home, lab = labels.get(records.HOME_LABEL, ""), labels.get(records.LAB_LABEL, "")
        if not home or labels.get(records.HOST_LABEL, "") not in identity.of_host():
            return False
        places = (Path(home, "labs", lab), Path(home, "golden", lab))
        return age_of(labels) >= self.abandoned and all(map(_is_absent, places))

    def is_others(self, labels: Mapping[str, str]) -> bool:
        """Whether a resource belongs to another lab, which must not be touched."""
        return not self.is_mine(labels) and not self.is_nobodys(labels)

    def owners(self, tagged: Iterable[Mapping[str, str]]) -> list[Owner]:
        """The owners of resources with these labels, each once; nobody's resources have none."""
        owned = (each for each in tagged if self.is_mine(each) or self.is_others(each))
        return list(dict.fromkeys(self._owner(labels) for labels in owned))

    def _owner(self, labels: Mapping[str, str]) -> Owner:
        names = (records.LAB_LABEL, records.HOME_LABEL, records.USER_LABEL)
        lab, home, user = (labels.get(name, "") for name in names)
        return Owner(lab, home, user, self.is_mine(labels))


def tag(lab: str, stage: str, key: str, run: str, home: Path) -> Tag:
    """The tag of what a stage makes for a lab of the state folder `home`.

    Identities that are missing are made.
    """
    state, host = identity.make_state(home), identity.make_host()
    return Tag(lab, stage, key, run, str(home), state, host, identity.user(), records.now())


def age_of(labels: Mapping[str, Any]) -> float:
    """Seconds since a resource was tagged, or 0 if its tag does not tell."""
    try:
        made = datetime.datetime.fromisoformat(str(labels.get(records.MADE_LABEL, "")))
    except ValueError:
        return 0.0
    return max(0.0, (datetime.datetime.now(datetime.UTC) - made).total_seconds())


def _is_absent(path: Path) -> bool:
    # Any other error (no permission, a stale mount, a broken disk) does not tell.
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
