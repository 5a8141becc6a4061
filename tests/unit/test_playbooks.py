"""The mirrored playbooks: links, but for one wait."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.stages.cloud import playbooks
from pytest_kollalab.stages.cloud.on_nodes import ready


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
    assert (made / playbooks.READY).read_text() == Path(ready.__file__).read_text()
    assert (made / "module_utils" / "other.py").resolve() == stock / "module_utils" / "other.py"
    assert (stock / playbooks.POLLED).read_text() == WORKER


class Answers:
    """What docker says: one answer after the other; None is a failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str | None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.slept: list[float] = []
        self.answers = list(answers)
        monkeypatch.setattr(ready, "told", self.told)
        monkeypatch.setattr(ready, "time", SimpleNamespace(sleep=self.slept.append))

    def told(self, *argv: str) -> str | None:
        self.asked.append(argv)
        return self.answers.pop(0)


def container(name: str) -> dict[str, Any]:
    return {"engine": "docker", "name": name, "restart_timeout": 120}


def test_a_unit_that_runs_is_waited_for_until_its_container_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(monkeypatch, None, "false", "true")
    module: dict[str, Any] = {"as_wanted": ready.as_wanted}
    exec(playbooks.patient(WORKER).replace(playbooks.OUR_IMPORT, ""), module)
    worker: Any = module["Worker"]()
    worker.container_dict = container("toolbox")
    worker.get_unit_state = lambda: "running"
    module["sleep"] = answers.slept.append
    assert worker.wait("running")
    assert [argv[-1] for argv in answers.asked] == ["toolbox"] * 3
    assert answers.slept == [0.2, 0.2]


def test_a_unit_that_is_stopped_is_not_looked_at_further(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready.as_wanted(container("toolbox"), "dead")


def test_agents_start_when_what_they_ask_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, "true", "check it", None, None, "")
    assert ready.as_wanted(container("neutron_periodic_worker"), "running")
    assert answers.asked[-1] == ("docker", "exec", "neutron_rpc_server", "sh", "-c", "check it")
    assert answers.slept == [1, 1]


def test_what_never_is_ready_does_not_hold_the_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch, "true", "check it", None, None, None)
    assert ready.as_wanted(container("neutron_periodic_worker") | {"restart_timeout": 3}, "running")
    assert answers.answers == []


@pytest.mark.parametrize("test", [None, ""])
def test_what_has_no_check_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, test: str | None
) -> None:
    answers = Answers(monkeypatch, "true", test)
    assert ready.as_wanted(container("neutron_periodic_worker"), "running")
    assert answers.slept == []


def test_what_a_command_says() -> None:
    assert ready.told("echo", "a") == "a"
    assert ready.told("false") is None


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
