"""The mirrored playbooks: links, but for what is patched."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.releases import patches
from pytest_kollalab.releases.patches import Patch
from pytest_kollalab.stages.cloud import playbooks, toolbox
from pytest_kollalab.stages.cloud.on_nodes import ready
from pytest_kollalab.system.errors import StageError

PATCH = """\
Description: A shorter wait
 It is shorter.
Project: worker 1

--- module_utils/worker.py
+++ module_utils/worker.py
@@ -1,3 +1,3 @@
 def wait():
-    delay = 5
+    delay = 0.2
     return delay
"""
WORKER = "def wait():\n    delay = 5\n    return delay\n"


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    root = tmp_path / "stock"
    (root / "roles" / "nova").mkdir(parents=True)
    (root / "site.yml").write_text("- hosts: all\n")
    (root / "module_utils" / "__pycache__").mkdir(parents=True)
    (root / "module_utils" / "worker.py").write_text(WORKER)
    (root / "module_utils" / "other.py").write_text("x = 1\n")
    return root


@pytest.fixture
def shorter(tmp_path: Path) -> Patch:
    path = tmp_path / "shorter.patch"
    path.write_text(PATCH)
    return patches.read(path)


def test_only_what_is_patched_differs(stock: Path, shorter: Patch, tmp_path: Path) -> None:
    made = playbooks.mirror(stock, [shorter], tmp_path / "made")
    assert (made / "module_utils" / "worker.py").read_text() == WORKER.replace("5", "0.2")
    assert (stock / "module_utils" / "worker.py").read_text() == WORKER
    assert (made / "site.yml").resolve() == stock / "site.yml"
    assert (made / "roles").is_symlink()
    assert (made / playbooks.READY).read_text() == Path(ready.__file__).read_text()
    assert (made / playbooks.CLIENT).read_text() == toolbox.client_text()
    assert (made / "module_utils" / "other.py").resolve() == stock / "module_utils" / "other.py"
    assert not (made / "module_utils" / "__pycache__").exists()


def test_another_spelling_is_an_error(stock: Path, shorter: Patch, tmp_path: Path) -> None:
    (stock / "module_utils" / "worker.py").write_text(WORKER.replace("delay", "pause"))
    with pytest.raises(StageError, match=r"shorter\.patch does not fit"):
        playbooks.mirror(stock, [shorter], tmp_path / "made")


def test_it_is_made_anew_each_time(stock: Path, shorter: Patch, tmp_path: Path) -> None:
    playbooks.mirror(stock, [shorter], tmp_path / "made")
    (tmp_path / "made" / "left-over").write_text("")
    made = playbooks.mirror(stock, [shorter], tmp_path / "made")
    assert not (made / "left-over").exists()


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


def test_a_container_that_does_not_run_yet_is_not_as_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(monkeypatch, None, "false", "true")
    found = [ready.as_wanted(container("toolbox"), "running") for _ in range(3)]
    assert found == [False, False, True]
    assert [argv[-1] for argv in answers.asked] == ["toolbox"] * 3


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


def test_a_database_of_ovn_is_there_when_it_leads_its_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(monkeypatch, "true", None, "Role: candidate", "Term: 1\nRole: leader")
    assert ready.as_wanted(container("ovn_sb_db"), "running")
    words = ("-t", "/run/ovn/ovnsb_db.ctl", "cluster/status", "OVN_Southbound")
    assert answers.asked[-1] == ("docker", "exec", "ovn_sb_db", "ovs-appctl", *words)
    assert answers.slept == [1, 1]


def test_a_database_that_never_leads_does_not_hold_the_deploy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(monkeypatch, "true", None, None)
    assert ready.as_wanted(container("ovn_nb_db") | {"restart_timeout": 2}, "running")
    assert answers.answers == []


def test_what_a_command_says() -> None:
    assert ready.told("echo", "a") == "a"
    assert ready.told("false") is None
