"""Tools and images for real: kolla-build of two small images, reuse, a failure, the registry."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest

from pytest_kollalab.engine.engine import BUILD, REUSE, Engine
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.providers import base
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images import registry
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.stages.tools import ToolsMade, ToolsStage
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import run
from tests import private_index
from tests.crash.small import TINY, add_release

pytestmark = pytest.mark.xdist_group("images")

EXAMPLE = Path(__file__).parents[2] / "examples" / "other-project" / "greeter" / "images"

# Fails until somebody listens on the port: images are built on the host's network.
PATIENT = """\
FROM {{ namespace }}/{{ image_prefix }}base:{{ tag }}
{% block labels %}{% endblock %}
RUN echo about to ask && bash -c ": < /dev/tcp/127.0.0.1/@PORT@"
"""


# Installs what only the private index has.
TASTER = """\
FROM {{ namespace }}/{{ image_prefix }}base:{{ tag }}
{% block labels %}{% endblock %}
{% import "macros.j2" as macros with context %}
RUN {{ macros.install_packages(['python3-venv'], True) }} \\
    && python3 -m venv /taste && /taste/bin/pip install thing && env | grep -q PIP_INDEX_URL
"""


class Site:
    """A cache, a state and an engine for the images named."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(cache=folder / "cache", state=folder / "state")
        self.said: list[str] = []

    def engine(
        self, *names: str, fresh: tuple[str, ...] = (), folders: Sequence[Folder] = ()
    ) -> Engine:
        given = (Config(release="test"), Options(name="images"), self.paths)
        stages = (ToolsStage(*given), ImagesStage(*given, names=names, folders=folders))
        return Engine("images", stages, self.paths, fresh=fresh, say=self.said.append)

    def actions(self, *names: str) -> dict[str, str]:
        return {step.stage: step.action for step in self.engine(*names).plan()}


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return docker.from_env()


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("images")
    data = folder / "recipe"
    shutil.copytree(releases.get(Config.release).data, data)
    texts = {"tiny": TINY, "patient": PATIENT.replace("@PORT@", str(port)), "taster": TASTER}
    for name, text in texts.items():
        (data / "overlay" / name).mkdir(parents=True)
        (data / "overlay" / name / "Dockerfile.j2").write_text(text)
    add_release(data)
    made = Site(folder)
    try:
        yield made
    finally:
        engine = made.engine("tiny")
        engine._remove(engine.stages["images"])
        del releases.RELEASES["test"]


@pytest.fixture(scope="module")
def built(site: Site) -> ImagesMade:
    return site.engine("tiny").ensure(ImagesMade)


def test_the_tools_are_there(site: Site, built: ImagesMade) -> None:
    record = site.engine("tiny").record("tools")
    assert record is not None
    found = run([record.read(ToolsMade).venv / "bin" / "kolla-build", "--version"]).stdout
    assert found.strip()


def test_only_what_is_needed_was_built(
    site: Site, built: ImagesMade, client: docker.DockerClient
) -> None:
    assert built.images == ("tiny",)
    names = {tag for image in client.images.list() for tag in image.tags}
    ours = {name for name in names if name.endswith(f":{built.tag}")}
    assert ours == {f"kolla/base:{built.tag}", f"kolla/tiny:{built.tag}"}
    assert any("tiny: built in" in line and "(2 of 2)" in line for line in site.said)


def test_the_second_call_reuses(site: Site, built: ImagesMade) -> None:
    assert site.actions("tiny") == {"tools": REUSE, "images": REUSE}
    site.said.clear()
    assert site.engine("tiny").ensure(ImagesMade) == built
    assert site.said == []


def test_the_registry_serves_a_store_that_it_cannot_write(built: ImagesMade) -> None:
    name = "kollalab-test-registry"
    image, tag = built.registry_image, built.tag
    mount = f"{built.registry_root}:{base.STORE}:ro"
    try:
        run(["docker", "run", "--detach", "--name", name, "--volume", mount, image])
        pull = f"skopeo copy --src-tls-verify=false docker://127.0.0.1:4000/kolla/tiny:{tag}"
        script = f"for i in 1 2 3 4 5; do {pull} dir:/pulled && exit; sleep 1; done; exit 1"
        network = f"container:{name}"
        run(["docker", "run", "--rm", "--network", network, image, "sh", "-c", script])
    finally:
        run(["docker", "rm", "--force", "--volumes", name], check=False)


def test_an_image_gone_from_the_store_is_noticed_and_not_built_again(
    site: Site, built: ImagesMade, client: docker.DockerClient
) -> None:
    before = client.images.get(f"kolla/tiny:{built.tag}").id
    registry.forget(built.registry_root, built.tag)
    steps = {step.stage: step for step in site.engine("tiny").plan()}
    assert steps["images"].action == BUILD
    assert "tiny not in the registry" in steps["images"].reason
    assert site.engine("tiny").ensure(ImagesMade) == built
    assert client.images.get(f"kolla/tiny:{built.tag}").id == before


def test_an_added_folder_is_built_on_ours_and_has_a_tag_of_its_own(
    site: Site, built: ImagesMade, client: docker.DockerClient
) -> None:
    folder = image_folders.read(EXAMPLE)
    tag = folder.tag(built.tag)
    reference = f"kolla/greeter:{tag}"
    before = client.images.get(f"kolla/base:{built.tag}").id
    site.said.clear()
    try:
        made = site.engine("tiny", "greeter", folders=[folder]).ensure(ImagesMade)
        assert made == built
        assert registry.stored(made.registry_root, tag, folder.names) == ["greeter"]
        assert client.images.get(f"kolla/base:{built.tag}").id == before
        assert not registry.exists(client, f"kolla/base:{tag}")
        assert not any("base: building" in line for line in site.said)
        # Nothing but the registry's own word says that an image is there.
        engine = site.engine("tiny", "greeter", folders=[folder])
        assert {step.action for step in engine.plan()} == {REUSE}
        script = "import http.server, os; assert os.access('/usr/local/bin/greeter', os.R_OK)"
        run(["docker", "run", "--rm", "--network", "none", reference, "python3", "-c", script])
        registry.forget(made.registry_root, tag)
        (step,) = [step for step in engine.plan() if step.stage == "images"]
        assert step.action == BUILD
        assert "greeter of" in step.reason
    finally:
        if registry.exists(client, reference):
            client.images.remove(reference, force=True)


def test_an_image_name_that_does_not_exist(site: Site, built: ImagesMade) -> None:
    with pytest.raises(ConfigError) as caught:
        site.engine("keystoan").ensure(ImagesMade)
    assert caught.value.brief == "there is no image keystoan"
    assert caught.value.hint == "did you mean 'keystone'?"


def test_a_build_that_failed_tells_why_and_goes_on(
    site: Site, built: ImagesMade, client: docker.DockerClient, port: int
) -> None:
    with pytest.raises(StageError) as caught:
        site.engine("patient").ensure(ImagesMade)
    error = caught.value
    assert error.brief == "image patient could not be built"
    assert "about to ask" in error.details
    assert error.log is not None
    assert error.log.is_file()

    # What was there before stays ready for others; what is missing is a reason to build.
    *_, step = site.engine("patient").plan("images")
    assert (step.action, step.reason) == ("build", "patient not in the registry")

    with socket.create_server(("127.0.0.1", port)):
        site.said.clear()
        made = site.engine("patient").ensure(ImagesMade)
    assert "patient" in made.images
    assert not any("base: building" in line for line in site.said)


def test_the_login_of_a_package_index_is_in_no_image_and_no_file(
    site: Site,
    built: ImagesMade,
    client: docker.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with private_index.serving() as index:
        url = f"http://{private_index.WRITTEN}@{index.host}/repo/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        engine = site.engine("taster")
        # The index itself is in the key, so that it is asked though the base image was there.
        assert {step.stage: step.action for step in engine.plan()}["images"] == BUILD
        try:
            made = engine.ensure(ImagesMade)
            assert made.tag != built.tag
            assert "/repo/simple/thing/" in index.seen
            monkeypatch.setenv("PIP_INDEX_URL", url.replace("s3cret", "an0ther"))
            assert site.actions("taster")["images"] == REUSE
            secret = private_index.WRITTEN.partition(":")[2]
            words = [secret, private_index.LOGIN.partition(":")[2], private_index.BASIC]
            found = [word.encode() for word in words]
            image = client.images.get(f"kolla/taster:{made.tag}")
            assert not [word for word in words if word in json.dumps(image.history())]
            for chunk in _saved(image):
                assert not [word for word in found if word in chunk]
            for path in site.paths.cache.parent.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    assert not [word for word in found if word in path.read_bytes()], path
        finally:
            engine._remove(engine.stages["images"])


def _saved(image: Any) -> Iterator[bytes]:
    """What `docker save` writes of an image, in pieces that overlap."""
    before = b""
    for chunk in image.save():
        yield before + chunk
        before = chunk[-100:]
