"""The mirrored playbooks: links, but for one wait."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.cloud import playbooks


def make(root: Path, text: str) -> Path:
    (root / "roles" / "nova").mkdir(parents=True)
    (root / "site.yml").write_text("- hosts: all\n")
    (root / "module_utils").mkdir()
    (root / playbooks.POLLED).write_text(text)
    (root / "module_utils" / "other.py").write_text("x = 1\n")
    return root


WORKER = """\
import os
from time import sleep


class Worker:
    def wait(self, state):
        delay = 5
        while True:
            if self.get_unit_state() == state:
                return True
            sleep(delay)
"""


def test_only_the_wait_differs(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", WORKER)
    made = playbooks.mirror(stock, tmp_path / "made")
    assert "delay = 0.2\n" in (made / playbooks.POLLED).read_text()
    assert (made / "site.yml").resolve() == stock / "site.yml"
    assert (made / "roles" / "nova").is_dir()
    assert (made / "module_utils" / "other.py").resolve() == stock / "module_utils" / "other.py"
    assert (stock / playbooks.POLLED).read_text() == WORKER


def test_a_unit_that_runs_is_waited_for_until_its_container_does() -> None:
    module: dict[str, Any] = {}
    exec(playbooks.patient(WORKER), module)
    worker = module["Worker"]()
    worker.container_dict = {"engine": "docker", "name": "toolbox"}
    worker.get_unit_state = lambda: "running"
    seen: list[Any] = []
    answers = [b"", b"false\n", b"true\n"]

    def look(argv: list[str], **_: object) -> SimpleNamespace:
        seen.append(argv[-1])
        return SimpleNamespace(stdout=answers.pop(0))

    module["subprocess"] = SimpleNamespace(run=look, PIPE=0, DEVNULL=0)
    module["sleep"] = seen.append
    assert worker.wait("running")
    assert seen == ["toolbox", 0.2, "toolbox", 0.2, "toolbox"]


@pytest.mark.parametrize("part", [playbooks.STOCK_LOOK, playbooks.STOCK_IMPORT])
def test_half_of_the_spelling_is_not_enough(part: str) -> None:
    text = WORKER.replace(part, "")
    assert playbooks.patient(text) == text


def test_another_spelling_is_left_alone(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", "DELAY = 5\n")
    made = playbooks.mirror(stock, tmp_path / "made")
    assert (made / playbooks.POLLED).read_text() == "DELAY = 5\n"


def test_it_is_made_anew_each_time(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", "")
    playbooks.mirror(stock, tmp_path / "made")
    (tmp_path / "made" / "left-over").write_text("")
    assert not (playbooks.mirror(stock, tmp_path / "made") / "left-over").exists()
