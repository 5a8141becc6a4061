"""The recipe: kolla-build's configuration and templates, and the digest of what they render to."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.releases.releases import Release
from pytest_kollalab.stages.images import NAMESPACE
from pytest_kollalab.system import debian, digest
from pytest_kollalab.system import temporary as leftovers
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.files import write
from pytest_kollalab.system.run import run

PLACEHOLDER = "tag"
FROM = re.compile(r"^FROM\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Rendered:
    """What the recipe renders to: the tag of all images, and the parent of each."""

    tag: str
    parents: Mapping[str, str]


def recipe(release: Release) -> dict[str, Any]:
    """Everything that decides what the images will be, as JSON; reads only the package's files."""
    return {
        "release": release.name,
        "files": {
            str(path.relative_to(release.data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files(release)
        },
        "sources": {s.filename: s.sha256 for s in release.sources},
        "disabled": list(release.disabled),
        "base": debian.describe(release.suite),
    }


def files(release: Release) -> list[Path]:
    """The files of the package that make the recipe."""
    found = [release.data / "macros.j2", release.data / "template-overrides.j2"]
    for name in ("overlay", "requirements"):
        found += [path for path in (release.data / name).rglob("*") if path.is_file()]
    return sorted([*found, release.data / "tools.txt"])


def own_images(release: Release) -> list[str]:
    """The images that the overlay adds to Kolla's or replaces."""
    return sorted(path.parent.name for path in (release.data / "overlay").rglob("Dockerfile.j2"))


def stock_images(venv: Path) -> list[str]:
    """The images that Kolla itself can build."""
    return sorted(path.parent.name for path in _stock(venv).rglob("Dockerfile.j2"))


def configuration(
    release: Release,
    *,
    tag: str,
    base_tag: str,
    docker_dirs: Sequence[Path],
    sources: Path,
    collections: Path,
    extra: Mapping[str, str] | None = None,
) -> str:
    """The text of kolla-build.conf. `docker_dirs` are laid over Kolla's own, later ones win."""
    default = {
        "base": "debian",
        "base_image": debian.REPOSITORY,
        "base_tag": base_tag,
        "engine": "docker",
        "namespace": NAMESPACE,
        "tag": tag,
        # Or kolla-build asks a registry for the base image.
        "pull": "false",
        "retries": "1",
        "template_override": str(release.data / "template-overrides.j2"),
        **(extra or {}),
    }
    lines = ["[DEFAULT]", *(f"{key} = {value}" for key, value in default.items())]
    lines += [f"docker_dir = {folder}" for folder in docker_dirs]
    locations = {
        "openstack-base": release.data / "requirements",
        "kolla-toolbox": release.data / "requirements",
        "kolla-toolbox-additions-collections": collections,
    } | {source.section: sources / source.filename for source in release.sources if source.section}
    for section, location in locations.items():
        lines += [f"[{section}]", "type = local", f"location = {location}"]
    for section in release.disabled:
        lines += [f"[{section}]", "enabled = false"]
    return "\n".join(lines) + "\n"


def lay_macros(release: Release, venv: Path, folder: Path) -> Path:
    """Make a docker_dir whose macros are Kolla's own with ours after them; returns it."""
    stock = _stock(venv) / "macros.j2"
    ours = (release.data / "macros.j2").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    text = stock.read_text(encoding="utf-8") + "\n" + ours
    (folder / "macros.j2").write_text(text, encoding="utf-8")
    return folder


def _stock(venv: Path) -> Path:
    for pattern in ("share/kolla/docker", "lib/python3*/site-packages/kolla/docker"):
        for found in venv.glob(f"{pattern}/macros.j2"):
            return found.parent
    raise StageError(
        "kolla has no macros.j2",
        details=f"looked in {venv}",
        hint="build the tools anew: --kollalab-fresh tools",
    )


def patterns(names: Iterable[str]) -> list[str]:
    """The images as the regular expressions that kolla-build takes; exactly these."""
    return [f"^{re.escape(name)}$" for name in names]


def render(release: Release, venv: Path, names: Sequence[str], cache: Path, log: Path) -> Rendered:
    """Render the images with a placeholder tag and tell their tag and their parents.

    Takes some seconds the first time; the answer is kept in the cache folder under the digest of
    the recipe.
    """
    known = recall(release, names, cache)
    if known is not None:
        return known
    with leftovers.scratch(cache, "render") as temporary:
        folder = Path(temporary)
        conf = folder / "kolla-build.conf"
        text = configuration(
            release,
            tag=PLACEHOLDER,
            base_tag=PLACEHOLDER,
            docker_dirs=[lay_macros(release, venv, folder / "macros"), release.data / "overlay"],
            sources=folder,
            collections=folder,
        )
        conf.write_text(text, encoding="utf-8")
        argv: list[str | Path] = [venv / "bin" / "kolla-build", "--config-file", conf]
        argv += ["--template-only", "--work-dir", folder / "work", *patterns(names)]
        try:
            run(argv, log_file=log)
        except CommandError as error:
            raise StageError(
                "the image templates do not render", details=error.details, log=log
            ) from error
        point("images:rendered")
        tree = folder / "work" / "docker"
        found = Rendered(
            tag=digest.digest(digest_tree(tree), recipe(release)), parents=read_parents(tree)
        )
    text = json.dumps({"tag": found.tag, "parents": dict(found.parents)})
    write(_kept(release, names, cache), text, mode=0o644)
    return found


def recall(release: Release, names: Sequence[str], cache: Path) -> Rendered | None:
    """What the recipe rendered to the last time, if it ever did."""
    kept = _kept(release, names, cache)
    if not kept.is_file():
        return None
    return Rendered(**json.loads(kept.read_text(encoding="utf-8")))


def forget(release: Release, names: Sequence[str], cache: Path) -> None:
    """Forget what the recipe rendered to."""
    _kept(release, names, cache).unlink(missing_ok=True)


def _kept(release: Release, names: Sequence[str], cache: Path) -> Path:
    return cache / f"{digest.digest(recipe(release), sorted(names))}.json"


def digest_tree(folder: Path) -> str:
    """A SHA-256 over names and contents of what enters images; templates and byte code do not."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".j2", ".pyc"} or not path.is_file():
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(folder)}\0{content}\n".encode())
    return whole.hexdigest()


def read_parents(folder: Path) -> dict[str, str]:
    """Image -> the image it is built from, of the rendered Dockerfiles; "" for the base."""
    parents = {}
    for path in sorted(folder.rglob("Dockerfile")):
        match = FROM.search(path.read_text(encoding="utf-8"))
        if match is None:
            continue
        namespace, _, rest = match[1].rpartition("/")
        parents[path.parent.name] = rest.partition(":")[0] if namespace == NAMESPACE else ""
    return parents


def with_parents(names: Iterable[str], parents: Mapping[str, str]) -> list[str]:
    """The images and all that they are built from, parents first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name and name not in found:
            visit(parents.get(name, ""))
            found[name] = None

    for name in names:
        visit(name)
    return list(found)


def clean(folder: Path) -> None:
    """Remove a work folder of kolla-build: it would take old archives along."""
    shutil.rmtree(folder, ignore_errors=True)
