"""A libvirt that is reached over SSH: this host's own."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Loopback


@pytest.fixture(scope="session")
def over_ssh(loopback: Loopback) -> str:
    """The URI of this host's libvirt through SSH on the loopback."""
    return f"qemu+ssh://root@127.0.0.1:{loopback.port}/system?command={loopback.client}"
