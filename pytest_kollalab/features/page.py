"""The page of the documentation that says what each feature contains, made from the features.

`python -m pytest_kollalab.cli.reference` updates it in a checkout.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping

from pytest_kollalab.features import BUILT_IN
from pytest_kollalab.features.backend import BACKENDS, OVS
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import REGISTRY, built_in
from pytest_kollalab.settings.config import Config

HEAD = """\
# Features

What a lab has: `core` always, and the features that the selected tests ask for, with what these
require. A test asks for one by its fixture, or by `@pytest.mark.kollalab_feature("NAME")`;
`features` in [kollalab.toml](configuration.md) and `kollalab up --feature NAME` ask for it too.
Here `core` has the network backend `{backend}`; [others](#network-backends) are below.
[A feature of your own](extending.md) has the same parts.

This page is made from the code, for release {release}, by
`python -m pytest_kollalab.cli.reference`.

"""

BACKENDS_HEAD = """
## Network backends

What implements Neutron's networks: `backend` of [[network]](configuration.md#network), the option
`--kollalab-backend`, or `kollalab up --backend`. It is part of the cloud's key: a lab has one from
its deploy on, and images and nodes are the same with all of them. A test that asks for a feature
which does not work with the backend is skipped, with the reason; so is a test of
`@pytest.mark.kollalab_backend("NAME")` with another one. A lab that is configured with such a
feature is refused.

"""


def page(release: str = Config.release) -> str:
    """The page, as Markdown."""
    features = built_in(release)
    parts = [HEAD.format(backend=OVS.name, release=release), overview(features)]
    for feature in features:
        rows = "\n".join(f"| {what} | {text} |" for what, text in contents(feature).items())
        parts.append(
            f"\n## {feature.name}\n\n{about(feature)}\n\n| part | what |\n|---|---|\n{rows}\n"
        )
    return "".join([*parts, BACKENDS_HEAD, backends(release)])


def backends(release: str) -> str:
    """What each network backend adds to `core`, and the features that it cannot have."""
    found = {}
    for backend in BACKENDS.values():
        unsuited = REGISTRY.unsuited(BUILT_IN, backend)
        core = backend.added_to(Feature("core"), release)
        found[backend.name] = {
            "is": backend.title,
            **contents(core),
            "tunnels": names([backend.dataplane.tunnel]),
            "cannot have": names(unsuited),
        }
    parts = dict.fromkeys(what for each in found.values() for what in each)
    rows = [f"| part | {names(found)} |".replace("`, `", "` | `")]
    rows.append(f"|{'---|' * (len(found) + 1)}")
    for part in parts:
        cells = [each.get(part, "") for each in found.values()]
        rows.append(f"| {part} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def overview(features: Iterable[Feature]) -> str:
    """A row for each feature: what it requires, its images and nodes."""
    rows = ["| feature | for | requires | Kolla images | images of its own | nodes |"]
    rows.append("|---|---|---|---|---|---|")
    for feature in features:
        own = own_images(feature)
        stock = [name for name in feature.images if name not in own]
        what = about(feature).partition(". ")[0].rstrip(".")
        cells = [
            f"[`{feature.name}`](#{feature.name})",
            what,
            names(feature.requires),
            str(len(stock)),
            names(own),
            names(feature.nodes),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def contents(feature: Feature) -> dict[str, str]:
    """What a feature contains, by part; parts that it does not have are left out."""
    own = own_images(feature)
    found = {
        "requires": names(feature.requires),
        "images of controllers": names(feature.control_images),
        "images of compute nodes": names(feature.compute_images),
        "images of its own, built on Kolla's": names(own),
        "nodes of its own": names(feature.nodes),
        "containers": grouped(feature.containers),
        "agents of Neutron": grouped(feature.agents),
        "types in the catalogue": names(feature.services),
        "extensions of the network API": names(feature.extensions),
        "variables of Kolla-Ansible": names(sorted(feature.globals)),
        "configuration files": names(sorted({*feature.config, *feature.userspace_config})),
        "playbooks": names(path.name for path in feature.playbooks),
        "health checks": "; ".join(check.what for check in feature.health),
        "APIs of its own": names(feature.endpoints),
        "artifacts of a failed test": names(sorted(feature.artifacts)),
        "cannot be with": names(feature.conflicts),
    }
    return {what: text for what, text in found.items() if text}


def about(feature: Feature) -> str:
    """What the feature is for: the first line of its module, without its name."""
    module = sys.modules[f"{__package__}.{feature.name}.feature"]
    line = (inspect.getdoc(module) or "").splitlines()[0]
    text = line.partition(": ")[2] or line
    return f"{text[0].upper()}{text[1:]}"


def own_images(feature: Feature) -> tuple[str, ...]:
    """The images that the feature has templates for."""
    found = {
        template.parent.name
        for folder in feature.images_from
        for template in folder.rglob("Dockerfile.j2")
    }
    return tuple(sorted(found))


def grouped(groups: Mapping[str, Iterable[str]]) -> str:
    """Names by node group."""
    return "; ".join(f"{group}: {names(each)}" for group, each in groups.items() if each)


def names(found: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in found)
