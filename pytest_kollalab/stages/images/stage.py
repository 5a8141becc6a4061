"""The stage `images`: builds the Kolla images of a lab into the registry's store."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.engine.stage import Inputs, Work
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.base import stock_images
from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.features.registry import built_in, kolla_images
from pytest_kollalab.releases import golang, maven, pypi, releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.images import NAMESPACE, registry, render
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.images.stored import StoredImagesStage
from pytest_kollalab.stages.tools import ToolsMade
from pytest_kollalab.system import daemon, debian, temporary
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.files import write
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import Paths

if TYPE_CHECKING:
    from docker import DockerClient

    from pytest_kollalab.extensions.extensions import Extensions


@dataclasses.dataclass
class Rounds:
    """The runs of kolla-build of one build, which are counted together.

    Attributes:
        total: The number of images that they build.
        built: The number of images that they have built.
    """

    total: int
    built: int = 0


class ImagesStage(StoredImagesStage):
    """Builds images with kolla-build and copies them into the store.

    Key and tag depend on the images of all built-in features, even those that the lab does not
    have, so that labs can share images. Added image folders have their own tags and enter the key
    of the cloud.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        names: Names of the images that are needed.
        folders: Folders with templates of added images.
    """

    needs = ("tools",)
    version = 1

    def __init__(
        self,
        config: Config,
        options: Options,
        paths: Paths,
        *,
        names: Sequence[str],
        folders: Sequence[Folder] = (),
    ) -> None:
        brought = {name for folder in folders for name in folder.names}
        release = releases.get(config.release, stock=config.stock)
        super().__init__(release, options, paths, sorted(set(names) - brought))
        self.folders = tuple(folders)
        self.threads = options.threads
        self.origins = render.Origins(options.mirror, pypi.of_images())

    def check_sources(self) -> None:
        """Ask the Debian mirror for the suite, and look for what kolla-build needs of the host."""
        super().check_sources()
        if shutil.which("git") is None:
            # kolla/version.py, where it is imported: 2026.2 and before.
            raise StageError(
                "git is not installed",
                details="kolla-build asks it for its version",
                hint="run `kollalab bootstrap`",
            )

    def inputs(self) -> Inputs:
        """The recipe of the images, which does not depend on the images that are needed."""
        return self._recipe

    @cached_property
    def _recipe(self) -> Inputs:
        # Every file of it is read, and it is asked for with each stage that needs images.
        return render.recipe(self.release, self.origins)

    def room(self) -> dict[str, int]:
        """The disk space in bytes for the images that docker and the store do not have."""
        known = self.rendered()
        tags = dict.fromkeys(self.names, known.tag if known is not None else "")
        for folder in self.folders:
            tags |= dict.fromkeys(folder.names, folder.tag(known.tag) if known is not None else "")
        client = daemon.connect()
        unbuilt = [
            n
            for n, t in tags.items()
            if not t or not registry.exists(client, f"{NAMESPACE}/{n}:{t}")
        ]
        missing = [n for n, t in tags.items() if not t or not registry.stored(self.store, t, [n])]
        return room.to_build(len(unbuilt), len(missing))

    def gone(self, made: ImagesMade) -> str | None:
        """Which image is missing in the store or in docker, or None if none is."""
        if reason := super().gone(made):
            return reason
        for folder in self.folders:
            if lacking := self._lacking(folder, made.tag):
                return f"{lacking[0]} of {folder.path} is not in the registry"
        return None

    def create(self, work: Work) -> ImagesMade:
        """Build the images that neither the store nor docker has, and copy them into the store."""
        client = daemon.connect()
        venv = work.made(ToolsMade).venv
        self._check_names(venv)
        registry.sweep(client, self.store)
        work.say("the base image")
        base_image = debian.ensure(client, self.release.suite, self.mirror, self.cache, work.log)
        registry_image = registry.ensure_image(client, base_image, work.log)
        rendered = self._render(venv, work.log)
        tag = rendered.tag
        missing = [n for n in self.names if n not in registry.stored(self.store, tag, self.names)]
        unbuilt = [name for name in missing if not registry.exists(client, _reference(name, tag))]
        rounds = Rounds(self._to_build(rendered, unbuilt, client))
        copies = registry.Copies(self._to_copy(missing, tag))
        if unbuilt:
            self._build(work, venv, rendered, unbuilt, rounds)
        references = [_reference(name, tag) for name in missing]
        labels = work.tag.labels()
        push = partial(registry.push, registry_image, self.store)
        push(references, labels, work.log, work.say, copies)
        for folder in self.folders:
            if self._lacking(folder, tag):
                self._add(work, venv, rendered, folder, rounds, client)
                references = [_reference(name, folder.tag(tag)) for name in folder.names]
                push(references, labels, work.log, work.say, copies)
        names = registry.stored(self.store, tag, sorted({*self.names, *rendered.parents}))
        return ImagesMade(
            namespace=NAMESPACE,
            tag=tag,
            images=tuple(names),
            registry_root=self.store,
            registry_image=registry_image,
            base_image=base_image,
        )

    def destroy(self, work: Work) -> None:
        """Remove the images of this recipe from docker and the store, and forget their tag."""
        known = self.rendered()
        if known is None:
            return
        client = daemon.connect()
        for folder in self.folders:
            tag = folder.tag(known.tag)
            registry.forget(self.store, tag)
            for name in folder.names:
                if registry.exists(client, _reference(name, tag)):
                    client.images.remove(_reference(name, tag), force=True)
        registry.forget(self.store, known.tag)
        # Children first: docker does not remove an image that another one is built on.
        for name in reversed(render.with_parents(sorted(known.parents), known.parents)):
            if registry.exists(client, _reference(name, known.tag)):
                client.images.remove(_reference(name, known.tag), force=True)
        for names in (self._universe(), self._others()):
            render.forget(self.release, names, self._renderings(), self.origins)
        work.say(f"the images with tag {known.tag} are removed")

    def _to_build(
        self, rendered: render.Rendered, unbuilt: Sequence[str], client: DockerClient
    ) -> int:
        """The number of images that all rounds build: Kolla's, then those of each folder."""
        lacking = [folder for folder in self.folders if self._lacking(folder, rendered.tag)]
        parents = [name for folder in lacking for name in folder.parents]
        wanted = render.with_parents([*unbuilt, *parents], rendered.parents)
        stock = [n for n in wanted if not registry.exists(client, _reference(n, rendered.tag))]
        return len(stock) + sum(len(folder.names) for folder in lacking)

    def _to_copy(self, missing: Sequence[str], tag: str) -> int:
        """The number of images that all rounds copy into the store."""
        return len(missing) + sum(
            len(each.names) for each in self.folders if self._lacking(each, tag)
        )

    def has(self, folder: Folder) -> bool:
        """Whether all images of a folder are in the store.

        Only reads files. False if the recipe was never rendered.
        """
        known = self.rendered()
        return known is not None and not self._lacking(folder, known.tag)

    def _check_names(self, venv: Path) -> None:
        known = {*render.stock_images(venv), *render.own_images(self.release)}
        unknown = sorted(set(self.names) - known)
        if unknown:
            raise ConfigError(
                f"there is no image {unknown[0]}",
                details="a feature asks for it, but neither Kolla nor the feature has it",
                hint=nearest(unknown[0], known),
            )

    def _lacking(self, folder: Folder, tag: str) -> list[str]:
        present = registry.stored(self.store, folder.tag(tag), folder.names)
        return [name for name in folder.names if name not in present]

    def _add(
        self,
        work: Work,
        venv: Path,
        rendered: render.Rendered,
        folder: Folder,
        rounds: Rounds,
        client: DockerClient,
    ) -> None:
        image_folders.check_apart([folder], render.stock_images(venv))
        ancestors = render.with_parents(folder.parents, rendered.parents)
        unbuilt = [n for n in ancestors if not registry.exists(client, _reference(n, rendered.tag))]
        if unbuilt:
            self._build(work, venv, rendered, unbuilt, rounds)
        mine = dataclasses.replace(rendered, tag=folder.tag(rendered.tag))
        with ExitStack() as undo:
            # kolla-build uses a single tag, so the parents of the folder's images get it for now.
            for name in ancestors:
                image = client.images.get(_reference(name, rendered.tag))
                image.tag(f"{NAMESPACE}/{name}", mine.tag)
                undo.callback(client.images.remove, _reference(name, mine.tag))
            laid = undo.enter_context(temporary.scratch(self.cache, "given"))
            for file in folder.given:
                work.say(f"{Path(file.into).name}: {file.source}")
                file.fetch(Path(laid))
            self._build(work, venv, mine, folder.names, rounds, folder.path, Path(laid))

    def configure(
        self,
        venv: Path,
        rendered: render.Rendered,
        names: Sequence[str],
        place: Path,
        log: Path,
        overlays: Sequence[Path] = (),
        through: Callable[[str], str] = str,
    ) -> Path:
        """Download the sources of images and their parents, and write kolla-build.conf.

        Args:
            venv: The virtual environment with kolla-build.
            rendered: The rendered recipe.
            names: Names of the images.
            place: The folder for kolla-build.conf and patched templates.
            log: The log file.
            overlays: Folders with templates that replace those of Kolla and of this package.
            through: Replaces URLs that have a login by others that need none.

        Returns:
            The path of kolla-build.conf.
        """
        from pytest_kollalab.stages.images import sources

        folder = self.cache / "sources"
        needed = sources.needed(self.release.sources, render.with_parents(names, rendered.parents))
        sources.download(needed, venv / "bin" / "python", folder, log)
        told = build_arguments(self.origins.index, golang.settings(), through, maven.mirror())
        text = render.configuration(
            self.release,
            tag=rendered.tag,
            base_tag=debian.tag(self.release.suite, self.mirror),
            docker_dirs=[*render.lay_over(self.release, venv, place / "patched"), *overlays],
            sources=folder,
            collections=sources.unpack_collections(needed, folder),
            extra={
                **({"threads": str(self.threads)} if self.threads else {}),
                **({"build_args": told} if told else {}),
            },
        )
        conf = place / "kolla-build.conf"
        write(conf, text)
        return conf

    def _build(
        self,
        work: Work,
        venv: Path,
        rendered: render.Rendered,
        names: Sequence[str],
        rounds: Rounds,
        *overlays: Path,
    ) -> None:
        from pytest_kollalab.stages.images import build, relay

        work.say("the sources")
        client = daemon.connect()
        place = self.cache / "build" / rendered.tag
        logs = work.log.parent / "images" / rendered.tag
        with relay.running(client, self.origins.index.cert) as relayed:
            conf = self.configure(venv, rendered, names, place, work.log, overlays, relayed.through)
            built = build.build(
                venv,
                conf,
                names,
                rounds.total,
                logs,
                place / "work",
                work.log,
                work.say,
                work.step,
                rounds.built,
            )
            rounds.built += len(built)

    def rendered(self) -> render.Rendered | None:
        """The result of the last rendering of the recipe, or None if there was none."""
        place = self._renderings()
        known = render.recall(self.release, self._universe(), place, self.origins)
        if known is None:
            return None
        more = render.recall(self.release, self._others(), place, self.origins)
        return known if more is None else _joined(known, more)

    def _render(self, venv: Path, log: Path) -> render.Rendered:
        """Render the recipe; the images of other network backends only if one is needed."""
        given = (self._renderings(), log, self.origins)
        known = render.render(self.release, venv, self._universe(), *given)
        others = self._others()
        if set(others).isdisjoint(self.names):
            return known
        return _joined(known, render.render(self.release, venv, others, *given))

    def _universe(self) -> list[str]:
        """The images that determine the tag. They do not depend on what this lab needs.

        The tag covers those of other network backends too, because they have the same recipe.
        """
        kolla = stock_images(built_in(self.release.name))
        return sorted({*kolla, *render.own_images(self.release)})

    def _others(self) -> list[str]:
        """The images that only other network backends than the default one have."""
        return sorted(set(kolla_images(self.release.name)) - set(self._universe()))

    def _renderings(self) -> Path:
        return self.cache / "rendered"


def build_arguments(
    index: pypi.Index, go: Mapping[str, str], through: Callable[[str], str], mirror: str = ""
) -> str:
    """The build arguments of all images, as a value of kolla-build.conf.

    Args:
        index: The places for Python packages.
        go: Go's settings.
        through: Replaces URLs that have a login by others that need none.
        mirror: The URL of a mirror of Maven Central.
    """
    found = index.arguments() | ({golang.ARGUMENT: golang.argument(go)} if go else {})
    found |= {maven.ARGUMENT: mirror} if mirror else {}
    # A comma would end the value.
    rows = [f"{name}:{through(value).replace(',', '%2C')}" for name, value in found.items()]
    return ",".join(rows).replace("$", "$$")


def _joined(known: render.Rendered, more: render.Rendered) -> render.Rendered:
    return render.Rendered(known.tag, {**more.parents, **known.parents})


def _reference(name: str, tag: str) -> str:
    return f"{NAMESPACE}/{name}:{tag}"


def unsupported(
    names: Iterable[str], extensions: Extensions, config: Config, options: Options, paths: Paths
) -> dict[str, str]:
    """The requested features whose images can be neither found nor built here, and why."""
    found: dict[str, str] = {}
    for name in names:
        for feature in extensions.registry.resolve([name], config.release):
            if feature.unsupported_reason is None:
                continue
            if config.images.mode != "build":
                found[name] = "its images can only be built, but images.mode is not build"
                continue
            folders = extensions.folders([feature], config)
            stage = ImagesStage(config, options, paths, names=())
            if all(map(stage.has, folders)):
                continue
            why = feature.unsupported_reason(config)
            if why is not None:
                found[name] = why
    return found
