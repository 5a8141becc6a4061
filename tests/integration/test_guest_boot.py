"""The guest image, really built and really booted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_kollalab.features.compute.guest.image import guest_image
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.run import run

# Stands for Neutron's metadata service: QEMU starts it for each connection of the guest.
METADATA = """\
import sys
path = sys.stdin.readline().split()[1]
for line in sys.stdin:
    if not line.strip():
        break
body = {
    "/latest/meta-data/hostname": "web.novalocal",
    "/latest/meta-data/public-keys/": "0=key",
    "/latest/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA nobody",
    "/latest/user-data": "#!/bin/sh\\necho user data ran\\npoweroff\\n",
}.get(path)
status = "404 Not Found" if body is None else "200 OK"
body = body or ""
sys.stdout.write(f"HTTP/1.0 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}")
"""


@pytest.fixture(scope="module")
def image() -> Path:
    """The image in the usual cache: this is what scenarios use."""
    return guest_image(default_paths().cache)


def test_it_boots_takes_an_address_and_asks_who_it_is(image: Path, tmp_path: Path) -> None:
    responder = tmp_path / "metadata.py"
    responder.write_text(METADATA)
    metadata = f"guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {responder}"
    done = run(
        [
            # May start again: with QEMU 7.2's TCG one boot in a dozen dies of a random fault in the
            # kernel's first second, and the guest's panic=5 has it start again, as under Nova.
            *("qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-nographic"),
            *("-drive", f"file={image},format=raw,if=virtio,snapshot=on"),
            *("-netdev", f"user,id=n,net=169.254.169.0/24,{metadata}"),
            *("-device", "virtio-net-pci,netdev=n"),
        ],
        timeout=240,
    )
    assert "guest: address 169.254.169.15/24 on eth0" in done.stdout
    assert "guest: metadata: web, 1 key(s)" in done.stdout
    assert "user data ran" in done.stdout
