"""How the guest image is built and reached: argv and keys."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.features.compute.guest import image
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.tenant.server import ssh_argv
from pytest_kollalab.system.ssh import Ssh


def test_the_build_takes_its_files_in_and_the_image_out() -> None:
    argv = image.build_argv(Path("/src/files"), Path("/out"), "http://mirror/debian", "trixie")
    assert argv[0] == "mmdebstrap"
    assert "--extract-hook=copy-in /src/files /" in argv
    assert "--extract-hook=copy-out /guest.img /out" in argv
    assert argv[-3:] == ["trixie", "-", "http://mirror/debian"]


def test_an_image_that_is_cached_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(path: Path, mirror: str, suite: str) -> None:
        path.write_text(f"{mirror} {suite}")

    monkeypatch.setattr(image, "_build", build)
    first = image.guest_image(tmp_path)
    first.write_text("kept")
    assert image.guest_image(tmp_path) == first
    assert first.read_text() == "kept"
    assert image.guest_image(tmp_path, suite="forky") != first


def test_the_scripts_of_the_guest_are_shell() -> None:
    files = Path(image.__file__).parent / "files"
    for name in ("boot", "build", "dhcp", "metadata"):
        assert (files / name).read_text().startswith("#!/bin/sh\n")


def test_ssh_to_a_server_goes_through_a_namespace() -> None:
    tenant = cast("Any", SimpleNamespace(key=Path("/keys/key")))
    namespace = Namespace(Ssh(Path("/lab/ssh_config")), "controller-1", "qdhcp-1")
    argv = ssh_argv(tenant, namespace, "10.0.0.5", ["echo", "two words"])
    assert argv[:3] == ["ssh", "-F", "none"]
    assert argv[-2:] == ["root@10.0.0.5", "echo 'two words'"]
    (proxy,) = [word for word in argv if word.startswith("ProxyCommand=")]
    assert proxy == (
        "ProxyCommand=ssh -F /lab/ssh_config controller-1 "
        "'ip netns exec qdhcp-1 socat - TCP:10.0.0.5:22'"
    )
    assert "IdentityFile=/keys/key" in argv
