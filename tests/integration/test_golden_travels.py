"""Golden states that travel by a real registry, from one cache and state to others."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import docker
import pytest
import requests

from pytest_kollalab.providers.base import NODES, STORE, NodesMade
from pytest_kollalab.stages.golden import artifact
from pytest_kollalab.stages.golden.cached import cached
from pytest_kollalab.stages.golden.place_at import place_at
from pytest_kollalab.stages.images import upstream
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.run import run
from pytest_kollalab.system.wait import NotYet, until
from tests.integration.docker_lab import left
from tests.integration.test_pull import HTPASSWD, PASSWORD, USER
from tests.travel import TELL, TOLD, Traveller

pytestmark = pytest.mark.xdist_group("docker-nodes")
MARK = secrets.token_hex(2)
TAG = f"travel{MARK}"


class Registry:
    """A registry that takes what is pushed; on a port of the loopback, with a login or without."""

    def __init__(self, image: str, folder: Path, *options: str) -> None:
        self.image = image
        self.folder = folder
        self.options = options
        self.name = f"kollalab-travel-{MARK}"
        self.host = ""

    def start(self) -> str:
        self.folder.mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        # Of a published port the rules of iptables would be seen by tests of the host.
        argv = ["docker", "run", "--detach", "--name", self.name, "--network", "host"]
        argv += ["--label", "kollalab.test=travel", "--cpu-shares", "100", *self.options]
        argv += ["--env", f"REGISTRY_HTTP_ADDR={self.host}"]
        run([*argv, "--volume", f"{self.folder}:{STORE}", self.image])

        def answers() -> bool | NotYet:
            try:
                status = requests.get(f"http://{self.host}/v2/", timeout=5).status_code
            except requests.ConnectionError as error:
                return NotYet(str(error))
            return status in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED) or NotYet(str(status))

        until("the registry answers", answers, timeout=30)
        return f"{self.host}/kollalab"

    def stop(self) -> None:
        run(["docker", "rm", "--force", "--volumes", self.name], check=False)

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture(scope="module")
def place(registry_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Registry(registry_image, tmp_path_factory.mktemp("registry") / "store") as found:
        yield found


@pytest.fixture(scope="module")
def origin(
    registry_image: str, place: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traveller]:
    """A host that has deployed, saved and pushed."""
    found = Traveller(
        tmp_path_factory.mktemp("origin"), f"itest-from-{MARK}", TAG, registry_image, place
    )
    try:
        assert found.up() == ["build", "build", "build"]
        assert found.cloud.deployed == 1
        found.save()
        pushed = found.push()
        assert pushed.sent > 0
        yield found
    finally:
        found.down()
    assert left(found.lab) == []


def other(folder: Path, origin: Traveller, lab: str = "", **options: str) -> Traveller:
    """An empty host beside the first; docker has node and registry image already."""
    place = options.pop("place", origin.options.golden_registry)
    name = lab or f"itest-to-{MARK}"
    return Traveller(folder, name, TAG, origin.images.registry_image, place, **options)


def test_what_is_there_is_not_pushed_again(origin: Traveller) -> None:
    before = len(origin.said)
    assert origin.push().sent == 0
    assert "already" in origin.said[before:][-1]
    again = origin.push(replace=True)
    # The layers of images are what they were.
    assert again.shared > 0


def test_nothing_of_the_host_and_its_user_is_in_it(origin: Traveller, tmp_path: Path) -> None:
    place = place_at(origin.options.golden_registry)
    key = origin.engine.plan()[-1].key
    text = place.manifest(key)
    assert text is not None
    manifest = artifact.read_manifest(text, "it")
    folder = origin.paths.lab(origin.lab)
    public = [path.read_text().split()[1] for path in folder.rglob("*.pub")]
    private = [path.with_suffix("").read_text().splitlines()[1] for path in folder.rglob("*.pub")]
    assert len(public) == 3
    own = [str(origin.paths.state), str(origin.paths.cache), "of-the-user", *public, *private]
    for number, blob in enumerate(manifest.blobs):
        path = tmp_path / str(number)
        place.get(blob, path, lambda _: None)
        if path.read_bytes().startswith(b"\x28\xb5\x2f\xfd"):
            plain = path.with_suffix(".plain")
            run(["zstd", "-d", "-q", path, "-o", plain])
            path.unlink()
            path = plain
        data = path.read_bytes()
        for word in own:
            assert word.encode() not in data, f"{word} in {blob.media}"
        path.unlink()
    place.close()


def test_a_lab_on_an_empty_host_starts_from_it(origin: Traveller, tmp_path: Path) -> None:
    there = other(tmp_path, origin)
    try:
        assert there.up() == ["fetch", "fetch", "fetch"]
        assert (there.images.built, there.cloud.deployed) == (0, 0)
        until("the container runs again", lambda: runs(there), timeout=60)
        nodes, first = there.engine.made(NodesMade), origin.engine.made(NodesMade)
        assert nodes is not None
        assert first is not None
        for node in NODES:
            assert there.run(node, TELL) == TOLD
            links = "find /var/lib/docker/overlay2 -maxdepth 2 -name diff -type l | wc -l"
            assert int(there.run(node, links)) >= 2
            address = nodes.nodes[node].management
            assert address != first.nodes[node].management
            assert there.run(node, "cat /etc/kolla/service/service.conf") == f"listen={address}"
            assert there.run(node, "ls /root/.bash_history 2> /dev/null; true") == ""
            for file in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
                assert there.run(node, f"cat {file}") != origin.run(node, f"cat {file}")
        # What it was made from is not needed any more, and a golden state of its own can be saved.
        assert there.provider.saving.saved(there.lab) == []
        there.save()
        assert len(there.provider.saving.saved(there.lab)) == 1
    finally:
        there.engine.destroy()
    assert left(there.lab) == []
    # A second time it is all here, and nobody is asked.
    again = other(tmp_path, origin, place="127.0.0.1:1/nowhere")
    steps = again.fetch.plan(again.engine.plan())
    assert [step.action for step in steps] == ["reuse", "fetch", "fetch"]
    assert "all of it here" in steps[1].reason


def runs(lab: Traveller) -> bool | NotYet:
    said = [lab.run(node, "docker inspect -f '{{.State.Status}}' keeper") for node in NODES]
    return said == ["running"] * 2 or NotYet(str(said))


def test_images_of_docker_come_with_it(origin: Traveller, tmp_path: Path) -> None:
    there = other(tmp_path, origin)
    found = there.fetch.found(there.engine.plan())
    assert found is not None
    name = f"kollalab-travel/node:{MARK}"
    of_node = next(each for each in found.golden.loaded if "/node:" in each)
    image = found.golden.loaded[of_node]
    carrying = there.provider.carrying
    assert carrying is not None
    assert carrying.lacking([of_node, name]) == [name]
    place, folder = found.place, tmp_path / "layers"
    folder.mkdir()
    by_digest = found.manifest.by_digest()
    for digest in image.layers:
        place.get(by_digest[digest], folder / by_digest[digest].hex, lambda _: None)
    place.close()
    layers = tuple(folder / by_digest[digest].hex for digest in image.layers)
    packed = there.fetch._packed(image)
    client = docker.from_env()
    try:
        carrying.load({name: replace(packed, layers=layers)}, tmp_path)
        assert carrying.lacking([name]) == []
        assert client.containers.run(name, ["cat", "/etc/debian_version"], remove=True)
    finally:
        client.images.remove(name, force=True)


def test_a_push_goes_on_with_what_is_missing(origin: Traveller, tmp_path: Path) -> None:
    """As after a break: a blob of the first push is there, the manifest is not."""
    place = f"oci:{tmp_path / 'layout'}"
    there = Traveller(
        origin.paths.cache.parent, origin.lab, TAG, origin.images.registry_image, place
    )
    first = there.push()
    layout = cached(tmp_path)
    layout.root = tmp_path / "layout"
    key = there.engine.plan()[-1].key
    layout.forget(key)
    second = there.push()
    assert second.sent < first.sent
    assert second.shared > 0


def test_with_a_login(registry_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    auth = tmp_path / "auth"
    auth.mkdir()
    (auth / "htpasswd").write_text(HTPASSWD)
    options = ["--volume", f"{auth}:/auth:ro", "--env", "REGISTRY_AUTH=htpasswd"]
    options += ["--env", "REGISTRY_AUTH_HTPASSWD_REALM=test"]
    options += ["--env", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"]
    locked = Registry(registry_image, tmp_path / "store", *options)
    locked.name += "-login"
    with locked as where:
        place = place_at(where)
        with pytest.raises(StageError, match="refuses GET") as caught:
            place.manifest("k1")
        assert "docker login" in caught.value.hint
        place.close()
        monkeypatch.setenv(upstream.USERNAME, USER)
        monkeypatch.setenv(upstream.PASSWORD, PASSWORD)
        place = place_at(where)
        blob = artifact.Blob(artifact.digest_of(b"{}"), 2, artifact.CONFIG)
        (tmp_path / "blob").write_bytes(b"{}")
        assert not place.has(blob)
        place.put(blob, tmp_path / "blob", lambda _: None)
        assert place.has(blob)
        place.tag("k1", artifact.Manifest(blob, ()).text())
        assert place.manifest("k1") == artifact.Manifest(blob, ()).text()
        place.close()


def test_a_registry_that_goes_away_and_a_wrong_blob_lead_to_a_build(
    registry_image: str, origin: Traveller, tmp_path: Path
) -> None:
    """The state is in a registry of its own, of which parts are taken away."""
    own = Registry(registry_image, tmp_path / "store")
    own.name += "-own"
    where = own.start()
    try:
        away = Traveller(
            origin.paths.cache.parent, origin.lab, TAG, origin.images.registry_image, where
        )
        away.push()
        there = other(tmp_path, origin, place=where)
        found = there.fetch.found(there.engine.plan())
        assert found is not None
        blob = found.manifest.by_digest()[found.golden.files]
        path = tmp_path / "store/docker/registry/v2/blobs/sha256" / blob.hex[:2] / blob.hex / "data"
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        there.fetch.bring_images(there.engine.plan())
        assert any("has something else under" in line for line in there.said), there.said
        assert not cached(there.paths.cache).has(blob)
        # It is not asked again in this run, and the images are built.
        assert [s.action for s in there.fetch.plan(there.engine.plan())] == ["build"] * 3
        path.write_bytes(data)
        later = other(tmp_path, origin, place=where)
        found = later.fetch.found(later.engine.plan())
        assert found is not None
        # What was good of the first attempt is there already.
        assert found.missing < sum(each.size for each in found.manifest.blobs)
        own.stop()
        later.fetch.bring_images(later.engine.plan())
        assert any("no golden state is fetched" in line for line in later.said), later.said
        # Nothing says that it is here.
        assert cached(later.paths.cache).tags() == {}
    finally:
        own.stop()
