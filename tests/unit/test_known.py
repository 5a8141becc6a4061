"""Shortcuts through private parts of Ansible: taken with versions that are known, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.stages.cloud import known
from pytest_kollalab.stages.cloud.known import ANSIBLE, MITOGEN, TOOLBOX


@pytest.mark.parametrize("version", ["2.19.0", "2.19.14", "2.19.0rc2", "2.20.10"])
def test_mitogen_is_used_with_what_it_is_known_to_fit(version: str) -> None:
    assert MITOGEN.unfit({"mitogen": "0.3.54", ANSIBLE: version}) is None


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        (
            {"mitogen": "0.3.54", ANSIBLE: "2.18.6"},
            "ansible-core 2.19 or 2.20, and 2.18.6 is installed",
        ),
        ({"mitogen": "0.3.54", ANSIBLE: "2.21.5"}, "2.19 or 2.20, and 2.21.5 is installed"),
        ({"mitogen": "0.3.55", ANSIBLE: "2.19.14"}, "mitogen 0.3.54, and 0.3.55 is installed"),
        ({"mitogen": "0.3.5", ANSIBLE: "2.19.14"}, "mitogen 0.3.54, and 0.3.5 is installed"),
        ({ANSIBLE: "2.19.14"}, "mitogen 0.3.54, and none is installed"),
    ],
)
def test_mitogen_is_not_used_with_others(versions: dict[str, str], said: str) -> None:
    why = MITOGEN.unfit(versions)
    assert why is not None
    assert said in why
    assert why.startswith("Mitogen is not used: ")
    assert "\n" not in why


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("2.20.0", True),
        ("2.20.10", True),
        ("2.19.14", False),
        ("2.21.5", True),
        ("2.22.0", False),
        ("", False),
    ],
)
def test_the_toolbox_server_knows_some_ansibles(version: str, fits: bool) -> None:
    why = TOOLBOX.unfit({ANSIBLE: version})
    assert (why is None) is fits
    assert fits or "run by ansible-runner" in (why or "")


@pytest.mark.parametrize("release", releases.RELEASES.values(), ids=lambda release: release.name)
def test_the_versions_that_are_pinned_are_known(release: releases.Release) -> None:
    assert MITOGEN.unfit(known.in_tools(release)) is None
    assert TOOLBOX.unfit(known.in_images(release)) is None


def test_versions_are_read_from_what_is_installed(tmp_path: Path) -> None:
    for name, version in (("ansible_core", "2.19.14"), ("mitogen", "0.3.54")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        )
    assert known.installed(tmp_path) == {"ansible-core": "2.19.14", "mitogen": "0.3.54"}
