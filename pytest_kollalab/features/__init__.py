"""Features: what each capability adds to a lab, one folder each; this list names them."""

from __future__ import annotations

from pathlib import Path

CORE = "core"
BUILT_IN = (CORE, "compute", "sfc", "bgpvpn", "skydive")


def fixture_modules() -> tuple[str, ...]:
    """The modules with fixtures of features: whoever uses one asks for the feature."""
    there = Path(__file__).parent
    return tuple(
        f"{__name__}.{name}.fixtures"
        for name in BUILT_IN
        if (there / name / "fixtures.py").is_file()
    )
