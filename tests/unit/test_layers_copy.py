"""Images that go from one docker's folder to another's by links."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_kollalab.providers.docker import layers_copy
from pytest_kollalab.providers.docker.layers_copy import HALF, LayerStore, chains, give

STORE = "kolla/cron:t"
NODE = "10.0.0.2:4000/kolla/cron:t"
DOCKERD = "Docker version 26.1.5+dfsg1, build 411e817"


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Fake:
    """A folder of docker with images made of layers that have one file each."""

    def __init__(self, root: Path, short: str) -> None:
        self.root = root
        self.short = short
        self.docker = LayerStore(root)

    def image(self, name: str, *texts: str) -> str:
        diffs = [digest(text) for text in texts]
        below = ""
        for text, diff, chain in zip(texts, diffs, chains(diffs), strict=True):
            self.layer(text, diff, chain, below)
            below = chain
        config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diffs}})
        self.file(f"image/overlay2/imagedb/content/{digest(config).replace(':', '/')}", config)
        named = self.docker.repositories.setdefault(layers_copy.repository(name), {})
        named[name] = digest(config)
        named[f"{layers_copy.repository(name)}@{digest(name)}"] = digest(config)
        self.docker.write()
        return digest(config)

    def layer(self, text: str, diff: str, chain: str, below: str) -> None:
        if self.docker.layer(chain).exists():
            return
        cache = hashlib.sha256((self.short + chain).encode()).hexdigest()
        link = f"{self.short}{text}".upper()
        self.file(f"overlay2/{cache}/diff/{text}", text)
        self.file(f"overlay2/{cache}/link", link)
        note = f"image/overlay2/layerdb/{chain.replace(':', '/')}"
        if below:
            under = self.docker.files(below)
            lower = [f"l/{(under / 'link').read_text()}"]
            lower += [(under / "lower").read_text()] if (under / "lower").exists() else []
            self.file(f"overlay2/{cache}/lower", ":".join(lower))
            self.file(f"{note}/parent", below)
        self.file(f"{note}/cache-id", cache)
        (self.root / "overlay2" / "l").mkdir(exist_ok=True)
        (self.root / "overlay2" / "l" / link).symlink_to(f"../{cache}/diff")
        by = [{"Digest": digest(f"packed {text}"), "SourceRepository": "kolla/cron"}]
        known = "image/overlay2/distribution"
        self.file(f"{known}/v2metadata-by-diffid/{diff.replace(':', '/')}", json.dumps(by))
        self.file(
            f"{known}/diffid-by-digest/{by[0]['Digest'].replace(':', '/')}",
            diff,
        )

    def file(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def seen(self, name: str) -> list[str]:
        """What a container of the image would see: the files of all layers, the upmost first.

        As dockerd finds them: by the short names in `lower`.
        """
        found = LayerStore(self.root)
        config = json.loads(found.config(found.find(name)).read_text())
        *_, top = chains(config["rootfs"]["diff_ids"])
        files = found.files(top)
        lower = files / "lower"
        folders = [files / "diff"]
        if lower.exists():
            folders += [self.root / "overlay2" / word for word in lower.read_text().split(":")]
        return [each.name for folder in folders for each in folder.resolve(strict=True).iterdir()]


def test_an_image_goes_with_its_layers(tmp_path: Path) -> None:
    node, store = Fake(tmp_path / "node", "n"), LayerStore(tmp_path / "store")
    image = node.image(NODE, "base", "cron")
    assert give(node.docker, store, {NODE: STORE}) == 1
    there = LayerStore(tmp_path / "store")
    assert there.find(STORE) == image
    assert set(there.repositories["kolla/cron"]) == {STORE, f"kolla/cron@{digest(NODE)}"}
    assert Fake(tmp_path / "store", "").seen(STORE) == ["cron", "base"]


def test_files_are_linked_and_what_docker_rewrites_is_not(tmp_path: Path) -> None:
    node = Fake(tmp_path / "node", "n")
    node.image(NODE, "base", "cron")
    give(node.docker, LayerStore(tmp_path / "store"), {NODE: STORE})
    inodes = {
        which: {
            path.name: path.stat().st_ino
            for path in (tmp_path / which).rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        for which in ("node", "store")
    }
    assert inodes["node"]["base"] == inodes["store"]["base"]
    assert inodes["node"]["lower"] != inodes["store"]["lower"]
    assert inodes["node"]["repositories.json"] != inodes["store"]["repositories.json"]


def test_a_node_has_one_link_for_all_files_of_a_layer(tmp_path: Path) -> None:
    first, store, second = Fake(tmp_path / "first", "n"), tmp_path / "store", tmp_path / "second"
    first.image(NODE, "base", "cron")
    give(first.docker, LayerStore(store), {NODE: STORE})
    give(LayerStore(store), LayerStore(second), {STORE: NODE}, seen=str(store))
    links = [path.readlink() for path in second.glob("overlay2/*/diff")]
    assert links
    assert all(link.is_relative_to(store / "overlay2") for link in links)
    assert Fake(second, "").seen(NODE) == ["cron", "base"]
    # Removed there, it is still here.
    for path in second.glob("overlay2/*/diff"):
        path.unlink()
    assert Fake(store, "").seen(STORE) == ["cron", "base"]


def test_what_a_node_with_links_has_besides_joins_the_store(tmp_path: Path) -> None:
    first, store = Fake(tmp_path / "first", "n"), tmp_path / "store"
    first.image(NODE, "base")
    give(first.docker, LayerStore(store), {NODE: STORE})
    second = Fake(tmp_path / "second", "m")
    give(LayerStore(store), second.docker, {STORE: NODE}, seen=str(store))
    nova = "10.0.0.2:4000/kolla/nova:t"
    second.image(nova, "base", "nova")
    assert give(second.docker, LayerStore(store), {NODE: STORE, nova: "kolla/nova:t"}) == 1
    files = list(store.glob("overlay2/*/diff"))
    assert len(files) == 2
    assert not any(path.is_symlink() for path in files)
    assert Fake(store, "").seen("kolla/nova:t") == ["nova", "base"]


def test_a_link_into_one_store_goes_to_no_other(tmp_path: Path) -> None:
    first, store, other = Fake(tmp_path / "first", "n"), tmp_path / "store", tmp_path / "other"
    first.image(NODE, "base")
    give(first.docker, LayerStore(store), {NODE: STORE})
    second = LayerStore(tmp_path / "second")
    give(LayerStore(store), second, {STORE: NODE}, seen=str(store))
    assert give(second, LayerStore(other), {NODE: STORE}) == 0
    assert not list(other.glob("overlay2/*/diff"))


def test_layers_of_two_nodes_have_each_other_below_them(tmp_path: Path) -> None:
    one, two = Fake(tmp_path / "one", "a"), Fake(tmp_path / "two", "b")
    store = tmp_path / "store"
    one.image(NODE, "base", "cron")
    two.image("10.0.0.2:4000/kolla/nova:t", "base", "nova")
    give(one.docker, LayerStore(store), {NODE: STORE})
    give(two.docker, LayerStore(store), {"10.0.0.2:4000/kolla/nova:t": "kolla/nova:t"})
    assert Fake(store, "").seen("kolla/nova:t") == ["nova", "base"]
    # The base that came first, and no other.
    assert len(list((store / "overlay2").glob("*/diff/base"))) == 1
    assert not list((store / "overlay2" / "l").glob("BBASE"))


def test_what_is_there_is_not_linked_again(tmp_path: Path) -> None:
    node, store = Fake(tmp_path / "node", "n"), tmp_path / "store"
    node.image(NODE, "base", "cron")
    assert give(node.docker, LayerStore(store), {NODE: STORE}) == 1
    assert give(node.docker, LayerStore(store), {NODE: STORE}) == 0


def test_an_image_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    node = Fake(tmp_path / "node", "n")
    node.image(NODE, "base")
    wanted = {"10.0.0.2:4000/kolla/other:t": "kolla/other:t", NODE: STORE}
    assert give(node.docker, LayerStore(tmp_path / "store"), wanted) == 1
    assert give(LayerStore(tmp_path / "nothing"), LayerStore(tmp_path / "more"), {STORE: NODE}) == 0


def test_what_a_kill_left_half_made_goes(tmp_path: Path) -> None:
    node, store = Fake(tmp_path / "node", "n"), tmp_path / "store"
    node.image(NODE, "base")
    half = store / "overlay2" / f"abc{HALF}" / "diff"
    half.mkdir(parents=True)
    argv = [sys.executable, layers_copy.__file__]
    names = json.dumps({NODE: STORE})
    more: list[str | Path] = ["keep", node.root, store, names, "/seen", DOCKERD]
    done = subprocess.run([*argv, *more], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert not half.exists()
    target = tmp_path / "target"
    target.mkdir()
    more = ["fill", store, target, json.dumps({STORE: NODE}), store, DOCKERD]
    done = subprocess.run([*argv, *more], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert Fake(target, "").seen(NODE) == ["base"]


@pytest.mark.parametrize(
    ("dockerd", "why"),
    [
        (DOCKERD, None),
        ("Docker version 26.1.5, build a72d7cd", None),
        ("Docker version 20.10.24+dfsg1, build 297e128", "docker 26 is known"),
        ("Docker version 29.0.1, build eedd969", "docker 26 is known"),
        ("sh: 1: dockerd: not found", "docker 26 is known"),
        ("", "this is: none"),
    ],
)
def test_another_docker_is_left_alone(dockerd: str, why: str | None) -> None:
    said = layers_copy.unfit(dockerd, {"overlay2"})
    assert said is None if why is None else why in (said or "")


@pytest.mark.parametrize("driver", ["btrfs", "fuse-overlayfs", "overlayfs", "vfs"])
def test_another_storage_driver_is_left_alone(tmp_path: Path, driver: str) -> None:
    node, store = Fake(tmp_path / "node", "n"), tmp_path / "store"
    node.image(NODE, "base")
    store.mkdir()
    (node.root / "image" / "overlay2").rename(node.root / "image" / driver)
    argv: list[str | Path] = [sys.executable, layers_copy.__file__, "keep", node.root, store]
    more = [json.dumps({NODE: STORE}), "/seen", DOCKERD]
    done = subprocess.run([*argv, *more], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"the storage driver overlay2 is known, and this is {driver}\n"


def test_an_image_store_of_containerd_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    argv: list[str | Path] = [sys.executable, layers_copy.__file__]
    argv += ["keep", tmp_path / "node", tmp_path]
    more = [json.dumps({NODE: STORE}), "/seen", DOCKERD]
    done = subprocess.run([*argv, *more], check=False, capture_output=True, text=True)
    assert "image store of containerd" in done.stderr


def test_a_layer_of_which_docker_was_not_told_is_told(tmp_path: Path) -> None:
    node, store = Fake(tmp_path / "node", "n"), tmp_path / "store"
    node.image(NODE, "base", "cron")
    give(node.docker, LayerStore(store), {NODE: STORE})
    # Killed after its files were there, before docker's note of it was.
    *_, top = chains([digest("base"), digest("cron")])
    for path in LayerStore(store).layer(top).iterdir():
        path.unlink()
    LayerStore(store).layer(top).rmdir()
    (store / "image" / "overlay2" / "repositories.json").unlink()
    assert give(node.docker, LayerStore(store), {NODE: STORE}) == 1
    assert Fake(store, "").seen(STORE) == ["cron", "base"]
