"""The mirrored playbooks: links, but for the one interval."""

from pathlib import Path

from pytest_kollalab.cloud import playbooks


def make(root: Path, text: str) -> Path:
    (root / "roles" / "nova").mkdir(parents=True)
    (root / "site.yml").write_text("- hosts: all\n")
    (root / "module_utils").mkdir()
    (root / playbooks.POLLED).write_text(text)
    (root / "module_utils" / "other.py").write_text("x = 1\n")
    return root


def test_only_the_interval_differs(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", "def wait():\n    delay = 5\n    return delay\n")
    made = playbooks.mirror(stock, tmp_path / "made")
    assert (made / playbooks.POLLED).read_text() == (
        "def wait():\n    delay = 0.2\n    return delay\n"
    )
    assert (made / "site.yml").resolve() == stock / "site.yml"
    assert (made / "roles" / "nova").is_dir()
    assert (made / "module_utils" / "other.py").resolve() == stock / "module_utils" / "other.py"
    assert "delay = 5" in (stock / playbooks.POLLED).read_text()


def test_another_spelling_is_left_alone(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", "DELAY = 5\n")
    made = playbooks.mirror(stock, tmp_path / "made")
    assert (made / playbooks.POLLED).read_text() == "DELAY = 5\n"


def test_it_is_made_anew_each_time(tmp_path: Path) -> None:
    stock = make(tmp_path / "stock", "")
    playbooks.mirror(stock, tmp_path / "made")
    (tmp_path / "made" / "left-over").write_text("")
    assert not (playbooks.mirror(stock, tmp_path / "made") / "left-over").exists()
