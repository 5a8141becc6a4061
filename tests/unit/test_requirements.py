"""What a host needs, as a table: limits of the code, figures of one file and of the benchmarks."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pytest_kollalab.lab import requirements
from pytest_kollalab.providers.docker.host import MEMORY
from pytest_kollalab.releases.releases import RELEASES
from pytest_kollalab.stages import room

ROOT = Path(__file__).parents[2]

PAGE = """\
| figure | what | measured | at most |
|---|---|---|---|
| `up_seconds` | `kollalab up`, images cached | 60.6 | |
| `deploy_seconds` | prechecks, deploy | 50 | 300 |
| `lab_memory_mb` | memory of the lab, MiB | 3072 | 4096 |
"""
MEASURED: dict[str, Any] = {
    "seen": {"releases": {"1": "all", "2": "nothing"}, "upgrades": [["1", "2"]]},
    "host": "2 cores",
    "first": {"lab": "`sfc`", "up": "700", "remark": "on a busy host"},
    "labs": {
        "most": {"lab": "most", "cloud": "1", "up": "2", "memory": "5 GB", "remark": "later"},
        "all": {"lab": "all", "cloud": "3", "up": "4", "memory": "1 GB more"},
        "emulated": {"lab": "slow", "cloud": "1000", "up": "1100", "memory": ""},
    },
}


def cells(table: str, begin: str) -> list[str]:
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {begin}"))
    return [cell.strip() for cell in row.strip("| ").split("|")]


def test_the_figures_of_the_benchmarks_are_read_from_their_page() -> None:
    found = requirements.figures(PAGE)
    assert found == {"up_seconds": 60.6, "deploy_seconds": 50, "lab_memory_mb": 3072}


def test_limits_are_those_of_the_code_and_figures_those_that_were_measured() -> None:
    table = requirements.table(MEASURED, requirements.figures(PAGE), "docs/")
    assert cells(table, "memory of the host")[1] == f"at least {MEMORY // room.GIB} GiB"
    docker, cache = (room.WHOLE[place] // room.GIB for place in (room.DOCKER, room.CACHE))
    assert cells(table, "free disk")[1].startswith(f"{docker + cache} GiB: {docker} for docker")
    up = cells(table, "time of")
    assert up[1] == "61 s with `core` and `sfc`, 4 s with all features"
    assert up[2].startswith("1100 s")
    memory = cells(table, "memory that a lab takes")[1]
    assert memory == "3.0 GiB with `core` and `sfc`, 5 GB with most, 1 GB more with these"
    assert table.endswith("Measured on a host with 2 cores; [more](docs/performance.md).")


def test_durations_have_a_row_for_each_lab() -> None:
    table = requirements.durations(MEASURED, requirements.figures(PAGE))
    assert cells(table, "`core`, `sfc`") == ["`core`, `sfc`", "50", "61", "3.0 GiB"]
    assert cells(table, "most") == ["most", "1", "2", "5 GB later"]
    assert cells(table, "`sfc`, nothing built yet")[2] == "700"


def test_what_was_seen_to_work_is_said_of_every_release() -> None:
    line = requirements.seen(MEASURED, "docs/")
    told = "seen to work: **1** all; **2** nothing. Upgrades: 1 to 2."
    assert line == f"OpenStack [releases](docs/releases.md), {told}"
    nothing = MEASURED | {"seen": {"releases": {}, "upgrades": []}}
    assert requirements.seen(nothing, "").endswith("Upgrades: none yet.")
    measured = tomllib.loads((ROOT / "docs" / "measured.toml").read_text())["seen"]
    assert list(measured["releases"]) == list(RELEASES)
    assert {name for way in measured["upgrades"] for name in way} <= {*RELEASES}
