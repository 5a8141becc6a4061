"""Pulling for real: a second registry on this host as the upstream, open, with login, with TLS."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import docker
import psutil
import pytest
import requests

from pytest_kollalab.engine.engine import BUILD, REUSE, Engine
from pytest_kollalab.engine.garbage import InUse
from pytest_kollalab.providers import base
from pytest_kollalab.settings.config import Config, ImagesConfig, Options
from pytest_kollalab.stages.images import garbage, registry, upstream
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.images.pulled import PulledImagesStage
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import run
from pytest_kollalab.system.wait import NotYet, until

pytestmark = pytest.mark.xdist_group("images")

USER, PASSWORD = "puller", "not-a-secret"
# Of that password, by bcrypt: the only kind that the registry takes.
HTPASSWD = f"{USER}:$2b$04$NsfDWBP2ydj4MZmVLt9vPeN0pIF0m1tVTI0gQfe8ceW8/lIb2nAhq\n"
TAG = "2026.1-debian-trixie"


class Pulled(PulledImagesStage):
    """The real stage, for two small images."""

    def _universe(self) -> list[str]:
        return ["small", "tiny"]


@dataclass
class Upstream:
    """A registry in a container; `options` are docker's."""

    image: str
    store: Path
    options: list[str] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"kollalab-upstream-{uuid.uuid4().hex[:6]}")

    def __enter__(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        argv = ["docker", "run", "--detach", "--network", "host", "--name", self.name]
        argv += ["--env", f"REGISTRY_HTTP_ADDR=127.0.0.1:{port}", *self.options]
        run([*argv, "--volume", f"{self.store}:{base.STORE}:ro", self.image])

        def answers() -> bool | NotYet:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0 or NotYet("refused")

        until("the upstream answers", answers, timeout=30)
        return f"127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        run(["docker", "rm", "--force", "--volumes", self.name], check=False)


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return docker.from_env()


@pytest.fixture(scope="module")
def image(registry_image: str) -> str:
    """The registry's image."""
    return registry_image


def push(client: docker.DockerClient, image: str, store: Path, name: str, text: str) -> None:
    """Put an image of one file into a store."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("what")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    reference = f"kolla/{name}:{TAG}"
    run(["docker", "import", "-", reference], input=data.getvalue())
    try:
        registry.push(image, store, [reference], {}, store.parent / "log", lambda _: None)
    finally:
        client.images.remove(reference, force=True)


@pytest.fixture(scope="module")
def store(
    client: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the upstream has."""
    folder = tmp_path_factory.mktemp("upstream") / "store"
    for name in ("small", "tiny"):
        push(client, image, folder, name, f"{name} from upstream")
    return folder


class Site:
    """A cache, a state and an engine that pulls."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(cache=folder / "cache", state=folder / "state")
        self.said: list[str] = []

    def engine(self, source: str, *names: str, ca: str = "", **more: object) -> Engine:
        images = ImagesConfig(mode="pull", source=f"{source}/kolla", **more)  # type: ignore[arg-type]
        options = Options(name="pull", registry_ca=ca)
        stage = Pulled(Config(images=images), options, self.paths, names=names)
        return Engine("pull", [stage], self.paths, say=self.said.append)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv(upstream.USERNAME, raising=False)
    return Site(tmp_path)


def content(image: str, store: Path, tag: str, name: str) -> str:
    """The file in an image of the store, as a node would get it."""
    source = f"docker://127.0.0.1:4000/kolla/{name}:{tag}"
    # An archive of docker has its layers as plain tar files; the last one that has the file wins.
    script = (
        "docker-registry serve /etc/docker/registry/config.yml >/dev/null 2>&1 & "
        "for i in 1 2 3 4 5 6 7 8 9; do "
        f"skopeo copy -q --src-tls-verify=false {source} docker-archive:/got.tar:x:y"
        " && break; sleep 0.3; done; mkdir /got; tar -xf /got.tar -C /got; "
        "for layer in $(grep -oE '[0-9a-f]+[.]tar' /got/manifest.json); do "
        "tar -xOf /got/$layer what 2>/dev/null; done; true"
    )
    volume = f"{store}:{base.STORE}:ro"
    argv = ["docker", "run", "--rm", "--network", "none", "--volume", volume, image]
    return run([*argv, "sh", "-c", script]).stdout


def test_open_and_plain_on_the_loopback(
    client: docker.DockerClient, image: str, store: Path, site: Site
) -> None:
    with Upstream(image, store) as host:
        made = site.engine(host, "tiny").ensure(ImagesMade)
        assert made.images == ("tiny",)
        assert any("kolla/tiny:" in line and "(1 of 1)" in line for line in site.said)
        assert [step.action for step in site.engine(host, "tiny").plan()] == [REUSE]
        # More images of the same digests: only what is missing is copied.
        (step,) = site.engine(host, "small", "tiny").plan()
        assert (step.action, step.reason) == (BUILD, "small not in the registry")
        site.said.clear()
        site.engine(host, "small", "tiny").ensure(ImagesMade)
        assert not any("kolla/tiny" in line for line in site.said)
    # And without the upstream all is there.
    assert [step.action for step in site.engine(host, "small", "tiny").plan()] == [REUSE]
    assert content(image, made.registry_root, made.tag, "tiny") == "tiny from upstream"
    engine = site.engine(host, "tiny")
    engine._remove(engine.stages["images"])
    assert registry.stored(made.registry_root, made.tag, ["tiny"]) == []


class Neighbour(threading.Thread):
    """Another user of this host, who tries to write to the registry of a store while it copies."""

    def __init__(self, store: Path) -> None:
        super().__init__(daemon=True)
        self.store = store
        self.answers: set[int] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            for port in self.ports():
                address = f"http://127.0.0.1:{port}/v2/kolla/small/blobs/uploads/"
                with suppress(requests.ConnectionError):
                    for login in (None, ("store", "guessed")):
                        answer = requests.post(address, auth=login, timeout=10)
                        self.answers.add(answer.status_code)

    def ports(self) -> Iterator[int]:
        """Where registries of the store listen. Others find that by trying all ports."""
        for each in psutil.process_iter(["name"]):
            with suppress(psutil.Error, OSError):
                if each.info["name"] == "docker-registry":
                    mounts = Path(f"/proc/{each.pid}/mountinfo").read_text()
                    found = each.net_connections() if str(self.store) in mounts else []
                    yield from (c.laddr.port for c in found if c.status == "LISTEN")

    def __enter__(self) -> Neighbour:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


def test_nobody_else_writes_to_the_store_while_it_is_filled(
    image: str, store: Path, site: Site
) -> None:
    root = site.paths.cache / "registry"
    with Upstream(image, store) as host, Neighbour(root) as neighbour:
        made = site.engine(host, "small", "tiny").ensure(ImagesMade)
    assert neighbour.answers == {HTTPStatus.UNAUTHORIZED}
    assert content(image, made.registry_root, made.tag, "small") == "small from upstream"


def test_a_tag_that_moved_is_another_key(
    client: docker.DockerClient, image: str, store: Path, site: Site, tmp_path: Path
) -> None:
    moving = tmp_path / "moving" / "store"
    moving.parent.mkdir()
    for name in ("small", "tiny"):
        push(client, image, moving, name, "before")
    with Upstream(image, moving) as host:
        before = site.engine(host, "tiny").ensure(ImagesMade)
        push(client, image, moving, "tiny", "after")
        engine = site.engine(host, "tiny")
        stage = engine.stages["images"]
        assert isinstance(stage, Pulled)
        stage.anew = True
        after = engine.ensure(ImagesMade)
    assert before.tag != after.tag
    root = after.registry_root
    assert content(image, root, before.tag, "tiny") == "before"
    assert content(image, root, after.tag, "tiny") == "after"

    # Garbage goes from the store with its blobs, and takes nothing along.
    kept = InUse(tags=frozenset({after.tag}))
    (item,) = garbage.stored(client, site.paths, kept, 0)
    assert item.what == before.tag
    assert item.size
    blobs = len(list(root.glob("docker/registry/v2/blobs/**/data")))
    item.remove()
    assert len(list(root.glob("docker/registry/v2/blobs/**/data"))) < blobs
    assert registry.stored(root, before.tag, ["tiny"]) == []
    assert content(image, root, after.tag, "tiny") == "after"
    assert list(garbage.stored(client, site.paths, kept, 0)) == []


def test_an_override_is_built_on_top(
    client: docker.DockerClient, image: str, store: Path, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "override"
    files.write(folder / "Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY more /what\n")
    files.write(folder / "more", "on top", mode=0o644)
    engine = None
    try:
        with Upstream(image, store) as host:
            engine = site.engine(host, "small", "tiny", overrides={"tiny": str(folder)})
            made = engine.ensure(ImagesMade)
        assert made.images == ("small", "tiny")
        found = content(image, made.registry_root, made.tag, "tiny")
        assert found.endswith("on top")
        assert content(image, made.registry_root, made.tag, "small").startswith("small")
    finally:
        if engine is not None:
            engine._remove(engine.stages["images"])


@pytest.fixture
def htpasswd(tmp_path: Path) -> list[str]:
    """The options of a registry that wants a login."""
    files.write(tmp_path / "auth" / "htpasswd", HTPASSWD, mode=0o644)
    return [
        "--volume", f"{tmp_path / 'auth'}:/auth:ro", "--env", "REGISTRY_AUTH=htpasswd",
        "--env", "REGISTRY_AUTH_HTPASSWD_REALM=test",
        "--env", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd",
    ]  # fmt: skip


def test_with_a_login(
    image: str, store: Path, site: Site, htpasswd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upstream(image, store, htpasswd) as host:
        with pytest.raises(StageError, match="refuses to give images") as caught:
            site.engine(host, "tiny").plan()
        assert "docker login" in caught.value.hint
        monkeypatch.setenv(upstream.USERNAME, USER)
        monkeypatch.setenv(upstream.PASSWORD, PASSWORD)
        engine = site.engine(host, "tiny")
        assert engine.ensure(ImagesMade).images == ("tiny",)
    told = engine.log_path("images").read_text() + "\n".join(site.said)
    assert PASSWORD not in told
    assert not [p for p in site.paths.cache.rglob("*") if p.name == "auth.json"]


def test_with_tls_and_an_authority_of_its_own(
    image: str, store: Path, site: Site, htpasswd: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    certs = tmp_path / "certs"
    certs.mkdir()
    run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=upstream", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", certs / "key.pem", "-out", certs / "ca.pem"]
    )  # fmt: skip
    options = [
        *htpasswd, "--volume", f"{certs}:/tls:ro",
        "--env", "REGISTRY_HTTP_TLS_CERTIFICATE=/tls/ca.pem",
        "--env", "REGISTRY_HTTP_TLS_KEY=/tls/key.pem",
    ]  # fmt: skip
    monkeypatch.setenv(upstream.USERNAME, USER)
    monkeypatch.setenv(upstream.PASSWORD, PASSWORD)
    with Upstream(image, store, options) as host:
        other = tmp_path / "other.pem"
        run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=other",
             "-keyout", tmp_path / "other.key", "-out", other]
        )  # fmt: skip
        with pytest.raises(StageError, match="cannot be reached") as caught:
            site.engine(host, "tiny", ca=str(other)).plan()
        assert "registry_ca" in caught.value.hint
        made = site.engine(host, "tiny", ca=str(certs / "ca.pem")).ensure(ImagesMade)
    assert made.images == ("tiny",)
