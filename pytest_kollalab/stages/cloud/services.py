"""Services that variables of Kolla-Ansible switch on or off, and which of them a lab can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_kollalab.features.base import Feature
from pytest_kollalab.stages.cloud.assumed import plain
from pytest_kollalab.stages.cloud.catalogue import Catalogue, Service
from pytest_kollalab.stages.cloud.kolla_variables import DEFAULTS
from pytest_kollalab.system.errors import ConfigError


def switches(service: Service, name: str, value: object) -> bool:
    """Whether a variable alone, with this value, switches a service on or off."""
    if isinstance(service.enabled, bool):
        # The whole role is switched.
        role = name.removeprefix("enable_").replace("_", "-")
        return service.enabled and name.startswith("enable_") and service.role == role
    return decides(service.enabled, name, value)


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


def check(
    variables: Mapping[str, Any],
    catalogue: Catalogue,
    features: Sequence[Feature],
    known: Iterable[Feature] = (),
) -> None:
    """Check that what variables switch on or off fits the features of a lab.

    Args:
        variables: The variables.
        catalogue: What the release's Kolla-Ansible knows.
        features: The features of the lab.
        known: All features that the lab could have, for the message.

    Raises:
        ConfigError: A service that is switched on has an image that no feature brings, or a service
            that is switched off belongs to a feature. The message says what can be switched on.
    """
    images = {name for feature in features for name in feature.images}
    owner = {
        name: feature.name
        for feature in features
        for names in feature.containers.values()
        for name in names
    }
    own = {name: value for feature in features for name, value in feature.globals.items()}
    set_here = {**DEFAULTS, **own, **variables}
    for name, told in variables.items():
        value = plain(told)
        if name.startswith("enable_") and not isinstance(value, bool):
            value = True  # a template, which may be true
        for service in _switched(catalogue, name, value, set_here):
            if value is False:
                if service.container in owner:
                    raise ConfigError(
                        f"{name} = false does not fit the feature {owner[service.container]}",
                        details=f"the feature needs the container {service.container}",
                        hint="take it out of [globals], or leave that feature out",
                    )
            elif service.image and service.image not in images and service.container not in owner:
                raise _without_image(name, service, list(known))


def offered(known: Iterable[Feature]) -> str:
    """The switches of services that features have images for, such as `enable_nova (compute)`."""
    found = []
    for feature in known:
        names = [n for n, v in feature.globals.items() if n.startswith("enable_") and v is True]
        if names:
            found.append(f"{', '.join(sorted(names))} (feature {feature.name})")
    return "; ".join(found)


def _without_image(name: str, service: Service, known: Sequence[Feature]) -> ConfigError:
    bring = [
        feature.name
        for feature in known
        if service.image in feature.images
        # Its image may have another name.
        or any(service.container in names for names in feature.containers.values())
    ]
    details = f"it needs the image {service.image}, which would be neither built nor pulled"
    hint = "take it out of [globals], or add a feature that names the image"
    if bring:
        hint = f"add the feature {' or '.join(bring)}, which has it, instead of the variable"
    elif there := offered(known):
        details += f"\nservices with images: {there}"
    return ConfigError(f"no feature has what {name} switches on", details=details, hint=hint)


def _switched(
    catalogue: Catalogue, name: str, value: object, set_here: Mapping[str, Any]
) -> Iterator[Service]:
    """The services that a variable switches, itself or by others whose defaults it decides."""
    names = [name]
    if isinstance(value, bool):
        for each in names:
            names += [
                other
                for other, condition in catalogue.conditions.items()
                if isinstance(condition, str)
                and other not in set_here
                and other not in names
                and decides(condition, each, value)
            ]
    for each in names:
        for service in catalogue.services:
            if switches(service, each, value) and (
                # Whoever switches a service on himself wants its role as well.
                each == name or value is False or _may_be_on(_role(service), catalogue, set_here)
            ):
                yield service


def _role(service: Service) -> str:
    """The variable that switches all services of a role."""
    return f"enable_{service.role.replace('-', '_')}"


def _may_be_on(
    name: str, catalogue: Catalogue, set_here: Mapping[str, Any], seen: frozenset[str] = frozenset()
) -> bool:
    """Whether a variable may be true; false if its value or default says that it is not."""
    value = plain(set_here.get(name, catalogue.conditions.get(name, True)))
    if isinstance(value, str) and name not in seen and not re.search(r"\bnot\b", value):
        others = re.findall(r"\benable_\w+", value)
        known = seen | {name}
        return not others or any(_may_be_on(o, catalogue, set_here, known) for o in others)
    return value is not False
