"""A small golden state as it travels, for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from pytest_kollalab import __version__
from pytest_kollalab.stages.golden.artifact import Golden, LoadedImage
from pytest_kollalab.stages.golden.push import architecture


def digest(text: str) -> str:
    """The digest of a text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def golden(**changes: Any) -> Golden:
    """A golden state of one node and no images."""
    about: dict[str, Any] = {
        "key": "k1",
        "images_key": "i1",
        "version": __version__,
        "made": "2026-05-01T10:11:12Z",
        "lab": "lab",
        "provider": "docker",
        "driver": "overlay2",
        "architecture": architecture(),
        "release": "2026.1",
        "features": ("core", "sfc"),
        "tag": "t1",
        "registry_image": "kollalab/registry:r1",
        "base_image": "kollalab/debian:d1",
        "store": {},
        "loaded": {},
        "roots": {"controller-1": LoadedImage({"os": "linux"}, (digest("root"),))},
        "disks": {"controller-1": digest("disk")},
        "nodes": {},
        "files": digest("files"),
    }
    return Golden(**{**about, **changes})
