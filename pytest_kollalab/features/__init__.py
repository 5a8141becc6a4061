"""The built-in features, one package each."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CORE = "core"
# The network backend of a lab that names none.
BACKEND: Final = "ovs"
BUILT_IN = (CORE, "compute", "sfc", "bgpvpn", "skydive", "opendaylight", "tacker")


def fixture_modules() -> tuple[str, ...]:
    """The modules with the fixtures of features. A test that uses one asks for the feature."""
    there = Path(__file__).parent
    return tuple(
        f"{__name__}.{name}.fixtures"
        for name in BUILT_IN
        if (there / name / "fixtures.py").is_file()
    )
