"""Services that variables of Kolla-Ansible switch on or off, and which of them a lab can have."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.features.base import Feature
from pytest_kollalab.stages.cloud.assumed import plain
from pytest_kollalab.stages.cloud.kolla_variables import DEFAULTS
from pytest_kollalab.stages.cloud.variables import SHARE
from pytest_kollalab.system.errors import ConfigError

DEFAULTS_OF = "ansible/group_vars/all/*.yml"
CONDITION = re.compile(r'^(enable_\w+): "(\{\{[^"\n]+\}\})"', re.MULTILINE)
ROLES = SHARE / "ansible" / "roles"
IMAGE = re.compile(r"\{\{\s*(\w+_image)_full\s*\}\}")
# What stands behind the registry in a variable such as `horizon_image`.
REPOSITORY = re.compile(r"\}\}([\w.-]+)$")


@dataclass(frozen=True)
class Service:
    """A service of a role.

    Attributes:
        role: The role.
        container: The name of its container.
        image: The name of its image. Empty if it is not known.
        enabled: The condition for it, as the role writes it.
    """

    role: str
    container: str
    image: str
    enabled: bool | str

    def switched_by(self, name: str, value: object) -> bool:
        """Whether the variable alone, with this value, switches the service on or off."""
        if isinstance(self.enabled, bool):
            # The whole role is switched.
            role = name.removeprefix("enable_").replace("_", "-")
            return self.enabled and name.startswith("enable_") and self.role == role
        return decides(self.enabled, name, value)


def decides(condition: str, name: str, value: object) -> bool:
    """Whether a variable with this value decides a condition alone, whatever others are.

    Args:
        condition: A template such as `{{ enable_a | bool or enable_b | bool }}`.
        name: The name of the variable.
        value: Its value. False decides a condition that has no other part, any other value decides
            one of several.
    """
    parts = [part.strip("() ") for part in condition.strip("{} ").split(" or ")]
    if not isinstance(value, bool):
        return f"{name} == '{value}'" in parts
    if not value and len(parts) > 1:
        return False
    return any(re.fullmatch(rf"{name}(\s*\|\s*bool)?", part) for part in parts)


def check(variables: Mapping[str, Any], venv: Path, features: Sequence[Feature]) -> None:
    """Check that what variables switch on or off fits the features of a lab.

    Nothing is checked if Kolla-Ansible is not installed yet.

    Raises:
        ConfigError: A service that is switched on has an image that no feature brings, or a service
            that is switched off belongs to a feature.
    """
    images = {name for feature in features for name in feature.images}
    owner = {
        name: feature.name
        for feature in features
        for names in feature.containers.values()
        for name in names
    }
    own = {name for feature in features for name in feature.globals}
    set_here = {*variables, *own, *DEFAULTS}
    for name, told in variables.items():
        value = plain(told)
        for service in _switched(venv, name, value, set_here):
            if value is False:
                if service.container in owner:
                    raise ConfigError(
                        f"{name} = false does not fit the feature {owner[service.container]}",
                        details=f"the feature needs the container {service.container}",
                        hint="take it out of [globals], or leave that feature out",
                    )
            elif service.image and service.image not in images:
                raise ConfigError(
                    f"no feature has what {name} switches on",
                    details=f"it needs the image {service.image}, which would be neither built "
                    "nor pulled",
                    hint="take it out of [globals], or add a feature that names the image",
                )


def read(role: str, text: str) -> Iterator[Service]:
    """The services in the text of a role's defaults."""
    import yaml

    defaults = yaml.safe_load(text) or {}
    for key, table in defaults.items():
        if not key.endswith("_services") or not isinstance(table, dict):
            continue
        for entry in table.values():
            if isinstance(entry, dict) and "container_name" in entry and "enabled" in entry:
                image = IMAGE.search(str(entry.get("image", "")))
                reference = str(defaults.get(image[1], "")) if image is not None else ""
                repository = REPOSITORY.search(reference)
                yield Service(
                    role,
                    str(entry["container_name"]),
                    repository[1] if repository is not None else "",
                    entry["enabled"],
                )


def _switched(venv: Path, name: str, value: object, set_here: Container[str]) -> Iterator[Service]:
    """The services that a variable switches, itself or by others whose defaults it decides."""
    names = [name]
    if isinstance(value, bool):
        conditions = _conditions(venv)
        for each in names:
            names += [
                other
                for other, condition in conditions.items()
                if other not in set_here and other not in names and decides(condition, each, value)
            ]
    for each in names:
        yield from (found for found in _mentioning(venv, each) if found.switched_by(each, value))


def _conditions(venv: Path) -> dict[str, str]:
    """The variables that switch something by default if others do, with their conditions."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((venv / SHARE).glob(DEFAULTS_OF))]
    return dict(found for text in texts for found in CONDITION.findall(text))


def _mentioning(venv: Path, name: str) -> Iterator[Service]:
    """The services of the roles that mention a variable, or that it is named after."""
    own = name.removeprefix("enable_").replace("_", "-") if name.startswith("enable_") else ""
    for path in sorted((venv / ROLES).glob("*/defaults/main.yml")):
        role, text = path.parents[1].name, path.read_text(encoding="utf-8")
        if role == own or re.search(rf"\b{re.escape(name)}\b", text):
            yield from read(role, text)
