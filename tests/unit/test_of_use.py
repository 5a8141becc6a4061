"""A golden state is saved where somebody can go back to it, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from pytest_kollalab.plugin.xdist import of_use
from pytest_kollalab.settings.config import Options

FRESH = ("kollalab", "fresh_cloud")


@pytest.mark.parametrize(
    ("options", "fixtures", "golden"),
    [
        (Options(), ("kollalab",), "none"),
        (Options(), FRESH, "drop"),
        (Options(keep="never"), ("kollalab",), "none"),
        (Options(keep="failed"), (), "drop"),
        (Options(keep="always"), (), "drop"),
        (Options(golden="keep"), (), "keep"),
        (Options(golden="none"), FRESH, "none"),
        (Options(push="always"), ("kollalab",), "drop"),
    ],
)
def test_a_golden_state_is_of_use(options: Options, fixtures: tuple[str, ...], golden: str) -> None:
    items = [SimpleNamespace(fixturenames=fixtures), SimpleNamespace()]
    assert of_use(options, cast("list[pytest.Item]", items)).golden == golden


def test_a_golden_state_is_of_use_in_a_lab_that_was_there_before() -> None:
    items = cast("list[pytest.Item]", [SimpleNamespace(fixturenames=("kollalab",))])
    assert of_use(Options(), items, kept=True).golden == "drop"
    assert of_use(Options(keep="never"), items, kept=True).golden == "none"
