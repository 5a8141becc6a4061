"""The manifest of a golden state: what it says, and what is refused of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_kollalab import __version__
from pytest_kollalab.stages.golden import artifact
from pytest_kollalab.stages.golden.artifact import Blob, LoadedImage, Manifest
from pytest_kollalab.stages.golden.fetch import check
from pytest_kollalab.stages.golden.push import architecture
from pytest_kollalab.system.errors import HostError, StageError
from tests.golden import digest, golden

BLOBS = [Blob(digest(name), 7) for name in ("disk", "files", "root")]


def test_a_golden_state_is_what_it_was_after_its_travel() -> None:
    before = golden()
    manifest, config = artifact.make(before, BLOBS)
    assert artifact.read_golden(config, "here") == before
    assert artifact.read_manifest(manifest.text(), "here") == manifest
    assert manifest.config.digest == artifact.digest_of(config)
    assert manifest.config.size == len(config)


def test_the_same_state_has_the_same_manifest_and_each_blob_once() -> None:
    one, _ = artifact.make(golden(), BLOBS)
    other, _ = artifact.make(golden(), [*reversed(BLOBS), BLOBS[0]])
    assert one.text() == other.text()
    assert len(one.layers) == len(BLOBS)


@pytest.mark.parametrize(
    "change",
    [
        {"artifactType": "application/vnd.somebody.else"},
        {"config": {"digest": "sha256:short", "size": 1, "mediaType": artifact.CONFIG}},
        {"layers": [{"digest": "../../etc/passwd", "size": 1, "mediaType": artifact.TAR}]},
        {"layers": [{"size": 1}]},
    ],
)
def test_other_manifests_are_refused(change: dict[str, Any]) -> None:
    manifest, _ = artifact.make(golden(), BLOBS)
    table = json.loads(manifest.text()) | change
    with pytest.raises(StageError, match="is no golden state"):
        artifact.read_manifest(json.dumps(table).encode(), "it")


def test_a_later_format_is_told_with_the_version_that_made_it() -> None:
    text = json.dumps({"format": artifact.FORMAT + 1, "version": "9.9"}).encode()
    with pytest.raises(StageError, match=r"it was made by pytest-kollalab 9\.9"):
        artifact.read_golden(text, "it")


def checked(manifest: Manifest | None = None, **changes: Any) -> None:
    found = replace(golden(), **changes)
    made, _ = artifact.make(found, BLOBS)
    check(found, manifest or made, "k1", "i1", "overlay2", "it")


def test_one_that_fits_is_taken() -> None:
    checked()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "0.0.1"}, "made with pytest-kollalab 0.0.1"),
        ({"architecture": "s390x"}, "made with the architecture s390x"),
        ({"driver": "btrfs"}, "made with the storage driver btrfs"),
    ],
)
def test_one_of_another_kind_of_host_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(HostError, match=told) as caught:
        checked(**changes)
    assert str(caught.value.details).startswith("here it would be ")


def test_one_that_is_not_what_its_tag_says_is_refused() -> None:
    with pytest.raises(StageError, match="is another one"):
        checked(key="k2")
    with pytest.raises(StageError, match="is another one"):
        checked(images_key="i2")


def test_one_whose_manifest_lacks_a_blob_is_refused() -> None:
    more = {"controller-1": LoadedImage({}, (digest("nowhere"),))}
    with pytest.raises(StageError, match="is not whole"):
        checked(roots=more)


def test_the_facts_of_this_host_are_those_that_are_pushed() -> None:
    assert golden().version == __version__
    assert golden().architecture == architecture()
