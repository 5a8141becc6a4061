"""The console of a machine: what it printed since it was made, and whether its kernel panicked."""

from __future__ import annotations

import re

from pytest_kollalab.providers.libvirt.storage import Storage

TAIL = 64 * 1024
LINES = 20
PANIC = re.compile(r"(?<!end )Kernel panic - not syncing.*")
END = "---[ end Kernel panic"
# An emulated machine may panic in its kernel's first second and reboot by itself. A kernel that
# panics again and again will not come up.
HOPELESS = 3
ESCAPES = re.compile(r"\x1b(\[[0-9;?!]*[a-zA-Z]|[()][0-9A-Z]|[=>c])|\r")


class Console:
    """What a machine wrote to its serial port, kept by libvirt as a volume."""

    def __init__(self, storage: Storage, volume: str) -> None:
        self.storage = storage
        self.volume = volume

    def text(self) -> str:
        """The end of it, without what only a terminal understands."""
        return plain(self.storage.tail(self.volume, TAIL))

    def last_lines(self, count: int = LINES) -> str:
        """Its last lines that are not empty."""
        lines = [line.rstrip() for line in self.text().splitlines() if line.strip()]
        return "\n".join(lines[-count:])

    def panic(self, node: str) -> str | None:
        """Why the machine will not come up; None while it may."""
        return hopeless(node, self.text())


def plain(data: bytes) -> str:
    """Text from a terminal's bytes."""
    return ESCAPES.sub("", data.decode(errors="replace"))


def hopeless(node: str, text: str) -> str | None:
    """The message of a kernel that will not come up: one panic at the end, or several."""
    found = PANIC.findall(text)
    # This end of a panic is printed only if the machine does not reboot.
    if len(found) >= HOPELESS or (found and END in text):
        return f"{node}: {found[0].strip()}"
    return None
