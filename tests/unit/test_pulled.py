"""Pulled images: sources, logins, digests that enter the key; asked of a small real server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_kollalab.features import BUILT_IN, base, registry
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Config, ImagesConfig, Options
from pytest_kollalab.stages.images import mirror, upstream
from pytest_kollalab.stages.images.choice import images_stage
from pytest_kollalab.stages.images.mirror import Copy
from pytest_kollalab.stages.images.pulled import PulledImagesStage
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.stages.images.upstream import Login, Upstream
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.paths import Paths

NAMES = base.images(registry.REGISTRY.get(name) for name in BUILT_IN)


class Registry(BaseHTTPRequestHandler):
    """Enough of a registry to be asked for digests: open, with a login, or with tokens."""

    digests: ClassVar[dict[str, str]]
    mode: str
    asked: int
    host: str

    def do_HEAD(self) -> None:
        type(self).asked += 1
        given = self.headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode(b"me:secret").decode()
        host = self.headers["Host"]
        allowed = {"open": "", "basic": basic, "token": "Bearer t0ken"}[self.mode]
        challenge = {
            "open": "", "basic": 'Basic realm="r"',
            "token": f'Bearer realm="http://{host}/token",service="s",scope="x"',
        }[self.mode]  # fmt: skip
        if given != allowed:
            self.answer(401, {"WWW-Authenticate": challenge})
        elif self.path in self.digests:
            self.answer(200, {"Docker-Content-Digest": self.digests[self.path]})
        else:
            self.answer(404, {})

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        good = self.headers.get("Authorization", "").startswith("Basic ") and asked["scope"] == [
            "x"
        ]
        self.answer(200 if good else 401, {}, json.dumps({"token": "t0ken"}).encode())

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Registry]]:
    monkeypatch.delenv(upstream.USERNAME, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    class Served(Registry):
        mode = "open"
        asked = 0
        digests: ClassVar = {
            f"/v2/kolla/{name}/manifests/2026.1-debian-trixie": f"sha256:{name}" for name in NAMES
        }

    kind = Served
    # All images are asked for at once; a connection that finds the queue full tries a second later.
    monkeypatch.setattr(ThreadingTCPServer, "request_queue_size", 64)
    server = ThreadingTCPServer(("127.0.0.1", 0), kind)
    kind.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield kind
    server.shutdown()
    thread.join()
    server.server_close()


def stage(
    served: type[Registry], paths: Paths, names: tuple[str, ...] = ("keystone",), **more: object
) -> PulledImagesStage:
    images = ImagesConfig(mode="pull", source=f"{served.host}/kolla", **more)  # type: ignore[arg-type]
    made = images_stage(Config(images=images), Options(), paths, names=names)
    assert isinstance(made, PulledImagesStage)
    return made


def test_the_configuration_chooses_the_stage(paths: Paths) -> None:
    assert isinstance(images_stage(Config(), Options(), paths, names=()), ImagesStage)
    pulls = Config(images=ImagesConfig(mode="pull"))
    made = images_stage(pulls, Options(), paths, names=())
    assert isinstance(made, PulledImagesStage)
    assert made.tag == "2026.1-debian-trixie"
    assert made.config.source == "quay.io/openstack.kolla"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("quay.io/openstack.kolla", ("quay.io", "openstack.kolla")),
        ("localhost/kolla", ("localhost", "kolla")),
        ("registry.example:5000/some/where", ("registry.example:5000", "some/where")),
    ],
)
def test_a_source_is_a_registry_and_a_namespace(source: str, expected: tuple[str, str]) -> None:
    assert upstream.parse(source) == expected


@pytest.mark.parametrize("source", ["kolla", "kolla/images", "https://quay.io/x", "quay.io"])
def test_anything_else_is_none(source: str) -> None:
    with pytest.raises(ConfigError, match="not a registry and a namespace"):
        upstream.parse(source)


def test_plain_http_is_for_the_loopback_without_authorities(tmp_path: Path) -> None:
    assert not Upstream("127.0.0.1:5000", "kolla").tls
    assert not Upstream("localhost:5000", "kolla").tls
    assert not Upstream("[::1]:5000", "kolla").tls
    assert Upstream("127.0.0.1:5000", "kolla", ca=tmp_path).tls
    assert Upstream("quay.io", "openstack.kolla").tls
    with pytest.raises(ConfigError, match="no file"):
        upstream.parse("quay.io/x", str(tmp_path / "none.crt"))


@pytest.mark.parametrize("mode", ["open", "basic", "token"])
def test_digests_with_every_kind_of_login(served: type[Registry], mode: str) -> None:
    served.mode = mode
    login = None if mode == "open" else Login("me", "secret")
    there = Upstream(served.host, "kolla", login=login)
    found = upstream.resolve(there, ["keystone", "nova-api", "nobody"], "2026.1-debian-trixie")
    assert found == {"keystone": "sha256:keystone", "nova-api": "sha256:nova-api"}


def test_a_registry_that_refuses_says_how_to_log_in(served: type[Registry]) -> None:
    served.mode = "basic"
    for login in (None, Login("me", "wrong")):
        with pytest.raises(StageError, match="refuses to give images") as caught:
            upstream.resolve(Upstream(served.host, "kolla", login=login), ["keystone"], "t")
        assert f"docker login {served.host}" in caught.value.hint
        assert "wrong" not in str(caught.value)


def test_a_registry_that_is_not_there_is_a_message() -> None:
    with pytest.raises(StageError, match="cannot be reached") as caught:
        upstream.resolve(Upstream("127.0.0.1:1", "kolla"), ["keystone"], "t")
    assert "Connection refused" in caught.value.details


def test_the_login_comes_from_the_environment_or_from_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv(upstream.USERNAME, raising=False)
    assert upstream.find_login("registry.example") is None
    auth = base64.b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {"registry.example": {"auth": auth}}})
    )
    assert upstream.find_login("registry.example") == Login("me", "secret")
    assert upstream.find_login("other.example") is None
    monkeypatch.setenv(upstream.USERNAME, "you")
    monkeypatch.setenv(upstream.PASSWORD, "hidden")
    assert upstream.find_login("registry.example") == Login("you", "hidden")
    assert "hidden" not in repr(Login("you", "hidden"))


def test_moving_tags_enter_the_key_as_digests(served: type[Registry], paths: Paths) -> None:
    first = stage(served, paths)
    before = first.inputs()
    assert before["digests"]["keystone"] == "sha256:keystone"
    path = "/v2/kolla/keystone/manifests/2026.1-debian-trixie"
    served.digests[path] = "sha256:moved"
    # Within the hour nobody asks again, unless told to.
    served.asked = 0
    assert stage(served, paths).inputs() == before
    assert served.asked == 0
    anew = stage(served, paths)
    anew.anew = True
    assert anew.inputs()["digests"]["keystone"] == "sha256:moved"
    assert anew.here() != first.here()
    assert stage(served, paths).inputs() == anew.inputs()


def test_what_another_lab_asked_for_is_in_no_key_of_this_one(
    served: type[Registry], paths: Paths
) -> None:
    before = stage(served, paths).inputs()
    served.digests["/v2/kolla/ovn-northd/manifests/2026.1-debian-trixie"] = "sha256:ovn-northd"
    ovn = stage(served, paths, names=("ovn-northd",))
    ovn.anew = True
    assert ovn.inputs()["digests"]["ovn-northd"] == "sha256:ovn-northd"
    assert stage(served, paths).inputs() == before


def test_the_same_images_from_elsewhere_are_the_same(served: type[Registry], paths: Paths) -> None:
    for name in NAMES:
        served.digests[f"/v2/copy/{name}/manifests/mine"] = f"sha256:{name}"
    elsewhere = ImagesConfig(mode="pull", source=f"{served.host}/copy", tag="mine")
    other = PulledImagesStage(Config(images=elsewhere), Options(), paths, names=())
    assert other.inputs() == stage(served, paths).inputs()


def test_what_was_resolved_serves_without_the_registry(
    served: type[Registry], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stage(served, paths).inputs()
    monkeypatch.setattr("pytest_kollalab.stages.images.pulled.FRESH", -1.0)
    served.digests.clear()
    assert stage(served, paths).inputs() == before


def test_an_image_that_upstream_lacks_is_named(served: type[Registry], paths: Paths) -> None:
    del served.digests["/v2/kolla/keystone/manifests/2026.1-debian-trixie"]
    assert "keystone" not in stage(served, paths, names=("cron",)).inputs()["digests"]
    with pytest.raises(StageError, match="no image keystone with tag"):
        stage(served, paths).inputs()


def test_overrides_enter_the_key_by_their_files(
    served: type[Registry], paths: Paths, tmp_path: Path
) -> None:
    plain = stage(served, paths).here()
    folder = tmp_path / "mine"
    with pytest.raises(ConfigError, match="no Dockerfile for keystone"):
        stage(served, paths, overrides={"keystone": str(folder)})
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    one = stage(served, paths, overrides={"keystone": str(folder)}).here()
    (folder / "extra").write_text("x")
    two = stage(served, paths, overrides={"keystone": str(folder)}).here()
    assert len({plain, one, two}) == 3
    with pytest.raises(ConfigError) as caught:
        stage(served, paths, overrides={"keyston": str(folder)})
    assert caught.value.hint == "did you mean 'keystone'?"


def test_what_the_mirror_is_told() -> None:
    there = Upstream("127.0.0.1:5000", "kolla", login=Login("me", "secret"))
    line = "127.0.0.1:5000/kolla/cron@sha256:1 kolla/cron:t -"
    assert Copy("cron", "sha256:1", "t").line(there) == line
    assert Copy("cron", "sha256:1", "t", loaded=True).line(there).endswith(" cron.tar")
    auths = json.loads(mirror.auth_file(there))["auths"]
    assert base64.b64decode(auths["127.0.0.1:5000"]["auth"]) == b"me:secret"
    assert mirror.auth_file(Upstream("127.0.0.1:5000", "kolla")) == ""


def test_a_lab_is_removed_and_summed_up_without_the_registry(paths: Paths) -> None:
    images = ImagesConfig(mode="pull", source="127.0.0.1:1/kolla")
    lab = Lab(Config(images=images), Options(until="images"), paths=paths)
    with pytest.raises(StageError, match="cannot be reached"):
        lab.plan()
    lab = Lab(Config(images=images), Options(until="images"), paths=paths)
    assert lab.summary(stays=False).stages == ()
    lab.engine.offline()
    assert lab.engine.record("images") is None
