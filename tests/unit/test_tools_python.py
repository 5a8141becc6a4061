"""The Python of the tools: whose it is, what enters the key, and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import tools_python
from pytest_kollalab.stages.tools import ToolsStage
from pytest_kollalab.system import debian
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import Result, run

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
NEWER = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
OLD = releases.get("2026.1")


def release(oldest: str) -> releases.Release:
    fields = {name: getattr(OLD, name) for name in ("suite", "as_of", "sources")}
    return releases.Release(name="2099.1", python=NEWER, tools_python=oldest, **fields)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    tools_python._choose.cache_clear()
    yield
    tools_python._choose.cache_clear()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, version: str, text: str) -> Path:
    made = folder / f"python{version}"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


def test_this_python_is_taken_if_it_is_new_enough(path: Path) -> None:
    program(path, NEWER, f"echo {NEWER}")
    found = tools_python.choose(release(OWN))
    assert found.path == Path(sys.executable)
    assert found.inputs == {"python": OWN}
    assert tools_python.reason(release(OWN)) is None


def test_the_key_of_2026_1_knows_a_version_only(path: Path) -> None:
    assert tools_python.choose(OLD).inputs == {"python": OWN}


def test_another_python_of_the_host_is_the_next_choice(path: Path) -> None:
    made = program(path, NEWER, f"echo {NEWER}")
    found = tools_python.choose(release(NEWER))
    assert found.path == made
    assert found.inputs == {"python": NEWER, "python_of": "this host"}
    why = tools_python.reason(release(NEWER))
    assert why is not None
    assert why == (
        f"the tools run with Python {NEWER} of {made}: release 2099.1 wants {NEWER} or newer, "
        f"and this is {OWN}"
    )


@pytest.mark.parametrize("text", ["exit 127", f"echo {OWN}", ""])
def test_a_program_that_is_not_what_its_name_says_is_passed_over(path: Path, text: str) -> None:
    program(path, NEWER, text)
    found = tools_python.choose(release(NEWER))
    assert found.path is None
    assert found.inputs == {"python": NEWER, "python_of": "debian trixie"}


def test_without_one_debian_s_is_fetched_and_the_plan_says_so(path: Path) -> None:
    why = tools_python.reason(release(NEWER))
    assert why is not None
    assert "of debian trixie, which is fetched from the Debian mirror" in why


def test_packages_come_from_the_suite_of_the_images() -> None:
    argv = tools_python.mmdebstrap("3.13", "trixie", "http://mirror/debian", Path("/x.tar"))
    assert "--variant=extract" in argv
    assert "--include=python3.13" in argv
    assert "deb http://mirror/debian trixie main" in argv


def test_a_python_that_cannot_be_had_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(argv: list[str], **_: object) -> Result:
        return run(["sh", "-c", "echo E: Unable to locate package; exit 100"])

    monkeypatch.setattr(tools_python, "run", tell)
    monkeypatch.setattr(debian, "check_mirror", lambda *_: None)
    wanted = tools_python.ToolsPython("3.99", "debian trixie")
    with pytest.raises(StageError) as raised:
        tools_python.unpack(wanted, tmp_path, tmp_path / "made", "http://mirror", tmp_path / "log")
    assert raised.value.brief == "Python 3.99 for the tools cannot be had from debian trixie"
    assert "Unable to locate package" in raised.value.details
    assert "install python3.99 on this host" in raised.value.hint


def test_a_plan_asks_the_mirror_only_if_a_python_is_fetched(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(debian, "check_mirror", lambda suite, _: asked.append(suite))
    stage = ToolsStage(Config(), Options(), paths)
    stage.check_sources()
    assert asked == []
    monkeypatch.setattr(
        tools_python, "choose", lambda _: tools_python.ToolsPython("3.13", "debian trixie")
    )
    stage.check_sources()
    assert asked == ["trixie"]
