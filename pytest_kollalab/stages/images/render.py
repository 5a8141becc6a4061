"""Renders the recipe of images: kolla-build's configuration and templates, and their digest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_kollalab.releases import patches
from pytest_kollalab.releases.pypi import Index
from pytest_kollalab.releases.releases import KOLLA, Release
from pytest_kollalab.stages.images import NAMESPACE
from pytest_kollalab.system import daemon, debian, digest
from pytest_kollalab.system import temporary as leftovers
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.files import write
from pytest_kollalab.system.run import run

PLACEHOLDER = "tag"
FROM = re.compile(r"^FROM\s+(\S+)", re.MULTILINE)
# Kolla's own script for patches in images.
RUNS_PATCHES = re.compile(r"^RUN\b.*\bkolla_patch\b", re.MULTILINE)
BLOCK = re.compile(r"\{%-?\s*block\s+(\w+)")
LIST = re.compile(r"\{%-?\s*set\s+(\w+)_(?:override|append|remove)\b")
CUSTOMIZABLE = re.compile(r"""customizable\(["'](\w+)["']\)""")


@dataclass(frozen=True)
class Rendered:
    """The result of rendering the recipe: the tag of all images and the parent of each image."""

    tag: str
    parents: Mapping[str, str]


@dataclass(frozen=True)
class Origins:
    """Where builds get packages from on this host.

    Attributes:
        mirror: The URL of the Debian mirror.
        index: The places for Python packages.
    """

    mirror: str = ""
    index: Index = field(default_factory=Index)


NOTHING = Origins()


def recipe(release: Release, origins: Origins = NOTHING) -> dict[str, Any]:
    """Everything that determines the contents of images, as JSON. Reads only package files.

    Logins are left out: they get into no image.
    """
    found: dict[str, Any] = {
        "release": release.name,
        "files": {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in sorted(files(release).items())
        },
        "sources": {s.filename: s.sha256 for s in release.sources},
        "disabled": list(release.disabled),
        "base": debian.describe(release.suite, origins.mirror),
    }
    index = origins.index.public
    found |= {"index": index} if index else {}
    return found | ({"stock": True} if release.stock else {})


def files(release: Release) -> dict[str, Path]:
    """The package files that belong to the recipe, by their names in it.

    A name does not tell whether the file is the release's own or one of several releases.
    """
    own = [release.data / "tools.txt"]
    patched = [f"patches/{name}" for name in (KOLLA, *release.patched_images)]
    for name in ("overlay", "requirements", *patched):
        own += [path for path in (release.data / name).rglob("*") if path.is_file()]
    found = {str(path.relative_to(release.data)): path for path in own} | release.overrides
    return found | {f"patches/{patch.name}": patch.path for patch in release.patches(KOLLA)}


def own_images(release: Release) -> list[str]:
    """The images that a release's overlay adds to Kolla's images or replaces, if it has one."""
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
    """The text of kolla-build.conf.

    Args:
        release: The release.
        tag: The tag of the images.
        base_tag: The tag of the base image.
        docker_dirs: Folders with templates that replace Kolla's. Later ones win.
        sources: The folder with the downloaded sources.
        collections: The folder with Ansible collections.
        extra: Further options of the section DEFAULT.
    """
    default = {
        "base": "debian",
        "base_image": debian.REPOSITORY,
        "base_tag": base_tag,
        "engine": "docker",
        "namespace": NAMESPACE,
        "tag": tag,
        # Otherwise kolla-build would pull the base image from a registry.
        "pull": "false",
        "retries": "1",
        **({"buildkit": "false"} if release.buildkit else {}),
        **({"patches_path": str(release.data / "patches")} if release.patched_images else {}),
        **(extra or {}),
    }
    lines = ["[DEFAULT]", *(f"{key} = {value}" for key, value in default.items())]
    lines += [f"template_override = {path}" for path in release.overrides.values()]
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


def lay_over(release: Release, venv: Path, folder: Path) -> list[Path]:
    """Make the folders with templates that replace Kolla's.

    Args:
        release: The release.
        venv: The virtual environment with Kolla.
        folder: The folder for Kolla's templates with patches applied. An existing one is replaced.

    Returns:
        `folder`, and the release's overlay if it has one.

    Raises:
        StageError: A patch does not fit, or an override is for something that Kolla does not have.
    """
    stock = _stock(venv)
    there = replaceable(stock)
    for path in release.overrides.values():
        if lost := sorted(overridden(path.read_text(encoding="utf-8")) - there):
            raise StageError(
                f"Kolla's templates have no {', '.join(lost)}",
                details=f"{path} overrides that",
                hint="adapt the overrides to the templates of the Kolla that is installed",
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    patches.lay(release.patches(KOLLA), stock, folder)
    overlay = release.data / "overlay"
    return [folder, overlay] if overlay.is_dir() else [folder]


def overridden(overrides: str) -> set[str]:
    """The names of the blocks and lists that a template of overrides replaces."""
    return set(BLOCK.findall(overrides)) | set(LIST.findall(overrides))


def replaceable(docker: Path) -> set[str]:
    """The names of the blocks and lists in Kolla's templates. Lists are prefixed by their image."""
    found: set[str] = set()
    for path in docker.rglob("*.j2"):
        text = path.read_text(encoding="utf-8")
        found.update(BLOCK.findall(text))
        image = path.parent.name.replace("-", "_")
        found.update(f"{image}_{name}" for name in CUSTOMIZABLE.findall(text))
    return found


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
    """Regular expressions for kolla-build that match exactly these images."""
    return [f"^{re.escape(name)}$" for name in names]


def render(
    release: Release,
    venv: Path,
    names: Sequence[str],
    cache: Path,
    log: Path,
    origins: Origins = NOTHING,
) -> Rendered:
    """Render the templates of images to find their tag and their parents.

    The first call takes some seconds. The result is cached under the digest of the recipe.

    Args:
        release: The release.
        venv: The virtual environment with Kolla.
        names: Names of the images.
        cache: The folder for results.
        log: The log file.
        origins: Where builds get packages from.

    Raises:
        StageError: The templates do not render, or a patch does not fit.
    """
    known = recall(release, names, cache, origins)
    if known is not None:
        return known
    with leftovers.scratch(cache, "render") as temporary:
        folder = Path(temporary)
        conf = folder / "kolla-build.conf"
        text = configuration(
            release,
            tag=PLACEHOLDER,
            base_tag=PLACEHOLDER,
            docker_dirs=lay_over(release, venv, folder / "patched"),
            sources=folder,
            collections=folder,
        )
        conf.write_text(text, encoding="utf-8")
        argv: list[str | Path] = [venv / "bin" / "kolla-build", "--config-file", conf]
        argv += ["--template-only", "--work-dir", folder / "work", *patterns(names)]
        try:
            run(argv, env=daemon.resolve().environment(), log_file=log)
        except CommandError as error:
            raise StageError(
                "the image templates do not render", details=error.details, log=log
            ) from error
        point("images:rendered")
        tree = folder / "work" / "docker"
        check_patched(tree, release)
        tag = digest.digest(digest_tree(tree), recipe(release, origins))
        found = Rendered(tag, read_parents(tree))
    text = json.dumps({"tag": found.tag, "parents": dict(found.parents)})
    write(_kept(release, names, cache, origins), text, mode=0o644)
    return found


def recall(
    release: Release, names: Sequence[str], cache: Path, origins: Origins = NOTHING
) -> Rendered | None:
    """The cached result of rendering the recipe, or None if there is none."""
    try:
        kept = _kept(release, names, cache, origins)
        return Rendered(**json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # none yet, or damaged: the recipe is rendered again


def forget(release: Release, names: Sequence[str], cache: Path, origins: Origins = NOTHING) -> None:
    """Remove the cached result of rendering the recipe."""
    _kept(release, names, cache, origins).unlink(missing_ok=True)


def _kept(release: Release, names: Sequence[str], cache: Path, origins: Origins) -> Path:
    return cache / f"{digest.digest(recipe(release, origins), sorted(names))}.json"


def digest_tree(folder: Path) -> str:
    """A SHA-256 digest of the names and contents of all files except templates and byte code."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".j2", ".pyc"} or not path.is_file():
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(folder)}\0{content}\n".encode())
    return whole.hexdigest()


def check_patched(tree: Path, release: Release) -> None:
    """Check that the rendered images with patches apply them.

    Raises:
        StageError: The template of such an image does not call kolla_patch.
    """
    for name in release.patched_images:
        for path in tree.rglob(f"{name}/Dockerfile"):
            if not RUNS_PATCHES.search(path.read_text(encoding="utf-8")):
                raise StageError(
                    f"the patches of image {name} would not be applied",
                    details="its template does not call kolla_patch",
                    hint=f"call it in {next(iter(release.overrides.values()))}",
                )


def read_parents(folder: Path) -> dict[str, str]:
    """The parent of each image with a rendered Dockerfile. Empty if it is the base image."""
    parents = {}
    for path in sorted(folder.rglob("Dockerfile")):
        match = FROM.search(path.read_text(encoding="utf-8"))
        if match is None:
            continue
        namespace, _, rest = match[1].rpartition("/")
        parents[path.parent.name] = rest.partition(":")[0] if namespace == NAMESPACE else ""
    return parents


def with_parents(names: Iterable[str], parents: Mapping[str, str]) -> list[str]:
    """The images with all their parents, parents first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name and name not in found:
            visit(parents.get(name, ""))
            found[name] = None

    for name in names:
        visit(name)
    return list(found)


def clean(folder: Path) -> None:
    """Remove a work folder of kolla-build, which would otherwise reuse old archives."""
    shutil.rmtree(folder, ignore_errors=True)
