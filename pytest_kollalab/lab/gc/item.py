"""Selects garbage by age and size, and formats sizes and ages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from pytest_kollalab.engine.garbage import Item
from pytest_kollalab.system.errors import ConfigError

DAY = 86400.0
AGE = attrgetter("age")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def total(items: Iterable[Item]) -> int:
    """The bytes of all items whose size is known."""
    return sum(item.size or 0 for item in items)


def spare(items: Sequence[Item], keep_last: int) -> list[Item]:
    """The items without the newest `keep_last` of each kind."""
    kinds: dict[str, list[Item]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    spared = [i for found in kinds.values() for i in sorted(found, key=AGE)[:keep_last]]
    return [item for item in items if item not in spared]


def above(items: Sequence[Item], size: int) -> list[Item]:
    """The oldest items, as many as must be removed so that the rest takes at most `size` bytes.

    Items of unknown size count as empty and are not removed.
    """
    over = total(items) - size
    found = []
    for item in sorted(items, key=AGE, reverse=True):
        if over > 0 and item.size:
            over -= item.size
            found.append(item)
    return [item for item in items if item in found]


def bytes_of(text: str) -> int:
    """The bytes of a size such as 500M or 20G.

    Raises:
        ConfigError: The text is not a size.
    """
    number, unit = text.strip().rstrip("iBb"), 1
    if number and number[-1].upper() in UNITS:
        number, unit = number[:-1], UNITS[number[-1].upper()]
    try:
        return int(float(number) * unit)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a size", hint="write 500M, 20G or a number of bytes"
        ) from None


def human_size(size: int | None) -> str:
    """Format a number of bytes."""
    if size is None:
        return "?"
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit in ("B", "KiB") else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def human_age(seconds: float) -> str:
    """Format a duration in its largest unit."""
    for name, length in (("d", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
