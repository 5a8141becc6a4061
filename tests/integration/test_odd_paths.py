"""The tools in a folder with odd characters: installed there, and Ansible run from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud import deploy
from pytest_kollalab.stages.cloud.events import PlayProgress, Tally
from pytest_kollalab.system import files
from pytest_kollalab.system.paths import Paths

# Kolla-Ansible does both on this host as well, for example to write files for the user.
PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.command: locale
      register: told
    - ansible.builtin.copy:
        content: "{{ told.stdout }}"
        dest: "{{ CONFIG_DIR }}/seen"
        mode: "0600"
"""


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a b&c+d%2Fe~f")
    paths = Paths(cache=folder / "cache", state=folder / "state")
    lab = Lab(Config(), Options(name="odd", until="tools"), paths=paths, features=())
    return lab.ensure("tools").venv


@pytest.mark.parametrize("strategy", [deploy.STRATEGY.stem, deploy.LINEAR])
def test_ansible_plays_there_in_its_own_environment(
    strategy: str, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    monkeypatch.setenv("ANSIBLE_CONFIG", "/nowhere")
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    etc = venv.parent / strategy
    files.write(etc / "inventory" / "hosts", "")
    files.write(etc / "globals.yml", "{}\n")
    files.write(etc / "passwords.yml", "{}\n")
    files.write(etc / "site.yml", PLAYBOOK)
    files.write(etc / "ansible.cfg", deploy.ansible_cfg(etc / "ssh_config"))
    site = deploy.Deployment(venv, etc, etc, etc, strategy=strategy)
    progress = PlayProgress(Tally())
    deploy.play(site, deploy.Run("odd", "deploy"), progress, log=etc / "log", say=print)
    assert "LC_ALL=C.UTF-8" in (etc / "seen").read_text()
