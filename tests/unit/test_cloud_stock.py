"""A stock cloud: Kolla-Ansible as it is; and what is done where versions are not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, ImagesConfig, Options
from pytest_kollalab.stages.cloud import known, playbooks
from pytest_kollalab.stages.cloud.deploy import LINEAR, STRATEGY, Run
from pytest_kollalab.stages.cloud.making import Making
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.system.paths import Paths


def stage(folder: Path, config: Config) -> CloudStage:
    paths = Paths(cache=folder, state=folder)
    return CloudStage(config, Options(), paths, features=(), provider=DockerProvider("", "", paths))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def work(tmp_path: Path, said: list[str]) -> Work:
    tag = Tag("lab", "cloud", "key", "run")
    return Work(
        key="key", tag=tag, needs=(), folder=tmp_path, log=tmp_path / "log", say=said.append
    )


def making(folder: Path, config: Config) -> Making:
    return Making(stage(folder, config).cloud)


def venv(folder: Path, **versions: str) -> Path:
    for name, version in versions.items():
        metadata = folder / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info/METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def test_stock_is_in_the_key_only_when_it_is_wanted(tmp_path: Path) -> None:
    plain: Any = stage(tmp_path, Config()).inputs()
    stock: Any = stage(tmp_path, Config(stock=True)).inputs()
    assert stock == plain | {"stock": True}


def test_stock_plays_the_playbooks_as_they_are(tmp_path: Path, work: Work) -> None:
    stock = making(tmp_path, Config(stock=True))
    assert stock._playbooks(work, tmp_path / "ansible") == tmp_path / "ansible"
    assert stock._strategy(work, tmp_path) == LINEAR
    assert "strategy" not in stock._ansible_cfg(Path("/ssh"))
    assert "strategy" in making(tmp_path, Config())._ansible_cfg(Path("/ssh"))


def test_stock_is_deployed_in_one_run(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Run] = []
    monkeypatch.setattr(
        "pytest_kollalab.stages.cloud.deploy.play", lambda site, run, *_, **__: played.append(run)
    )
    site: Any = None
    making(tmp_path, Config(stock=True))._run_all(work, site, "deploy")
    assert [(run.playbooks, run.tags, run.skip_tags) for run in played] == [
        (("site.yml", "post-deploy.yml"), (), ())
    ]
    making(tmp_path, Config())._run_all(work, site, "deploy")
    assert len(played) > 3


def test_mitogen_is_used_where_it_is_known_to_work(
    tmp_path: Path, work: Work, said: list[str]
) -> None:
    fits = venv(tmp_path / "fits", mitogen="0.3.54", ansible_core="2.19.14")
    assert making(tmp_path, Config())._strategy(work, fits) == STRATEGY.stem
    assert said == []
    other = venv(tmp_path / "other", mitogen="0.3.54", ansible_core="2.99.1")
    assert making(tmp_path, Config())._strategy(work, other) == LINEAR
    assert [line.partition(":")[0] for line in said] == ["Mitogen is not used"]


@pytest.mark.parametrize(
    ("mode", "version", "asks"),
    [("build", "2.20.10", True), ("build", "2.99.0", False), ("pull", "2.99.0", True)],
)
def test_the_toolbox_server_is_asked_where_it_is_known_to_work(
    tmp_path: Path, work: Work, said: list[str], monkeypatch: pytest.MonkeyPatch,
    mode: Literal["build", "pull"], version: str, asks: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(known, "in_images", lambda _: {known.ANSIBLE: version})
    seen: list[str] = []
    monkeypatch.setattr(
        playbooks, "mirror", lambda _, changes, __: seen.extend(p.path.name for p in changes)
    )
    making(tmp_path, Config(images=ImagesConfig(mode=mode)))._playbooks(work, tmp_path)
    assert (playbooks.ASKS_SERVER in seen) is asks
    assert "container-start.patch" in seen
    assert bool(said) is not asks
