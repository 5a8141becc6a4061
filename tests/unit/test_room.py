"""The room that a build takes: computed before anything starts, told by who takes how much."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_kollalab.features.registry import REGISTRY
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.stages.room import CACHE, DOCKER, GIB, Need
from pytest_kollalab.system.errors import HostError
from pytest_kollalab.system.paths import Paths


def test_what_fits_is_fine(tmp_path: Path) -> None:
    folders = {CACHE: tmp_path / "not" / "there", DOCKER: tmp_path}
    room.check([Need("images", CACHE, 1), Need("nodes", DOCKER, 1)], folders)
    room.check([], folders)


def test_places_on_one_disk_are_added_up(tmp_path: Path) -> None:
    folders = {CACHE: tmp_path / "cache", DOCKER: tmp_path / "docker"}
    free = shutil.disk_usage(tmp_path).free
    most = free - GIB
    room.check([Need("images", CACHE, most)], folders)
    with pytest.raises(HostError, match=r"the disk is too full: .* GiB free for") as caught:
        room.check([Need("images", CACHE, most), Need("cloud", DOCKER, 3 * GIB)], folders)
    assert caught.value.details.splitlines()[1] == "cloud: 3.0 GiB in docker"
    assert "kollalab gc" in caught.value.hint


def test_a_daemon_on_another_host_has_a_disk_of_its_own(tmp_path: Path) -> None:
    room.check([Need("images", DOCKER, 2**62)], {CACHE: tmp_path})


def test_a_cloud_with_more_features_takes_more(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path, state=tmp_path)

    def taken(*features: str) -> int:
        stage = CloudStage(
            Config(),
            Options(),
            paths,
            features=REGISTRY.resolve(features, "2026.1"),
            provider=DockerProvider("", "", paths),
        )
        return stage.room()[DOCKER]

    assert taken() < taken("compute") < room.WHOLE[DOCKER]
    # Nodes of its own count as well.
    assert taken("sfc") < taken("sfc", "bgpvpn")
    assert taken(*REGISTRY.names()) > taken("compute")


def test_what_doctor_asks_for_is_enough_for_a_lab_with_every_feature(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path, state=tmp_path)
    features = REGISTRY.resolve(REGISTRY.names(), "2026.1")
    provider = DockerProvider("", "", paths)
    cloud = CloudStage(Config(), Options(), paths, features=features, provider=provider)
    images = len({image for feature in features for image in feature.images})
    assert images > 20
    built = room.to_build(images, images)
    # The image of the nodes, and the tools.
    assert built[DOCKER] + room.BASE + cloud.room()[DOCKER] <= room.WHOLE[DOCKER]
    assert built[CACHE] + GIB // 2 <= room.WHOLE[CACHE]
