"""Playbooks of features: what a plan says of them before Ansible does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud import catalogue, own_playbooks
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

KNOWN = ("control", "compute", "nova-compute", "controller-1")


def feature(folder: Path, text: str) -> Feature:
    path = folder / "banner.yml"
    path.write_text(text)
    return Feature("banner", playbooks=(path,))


@pytest.mark.parametrize(
    ("text", "told", "more"),
    [
        ("- hosts: compte\n", "the lab has no group or host 'compte'", "did you mean 'compute'?"),
        ("- hosts: [all, edge-1]\n", "no group or host 'edge-1'", "of Kolla-Ansible's inventory"),
        ("- hosts: control:!contrl\n", "no group or host 'contrl'", "did you mean 'control'?"),
        ("- hosts: all\n  tasks: [\n", "banner.yml is no YAML", "correct it"),
        ("- hosts: all\n tasks: []\n", "banner.yml is no YAML", "line 2"),
        ("hosts: all\n", "banner.yml is no playbook", "- hosts"),
        ("just words\n", "banner.yml is no playbook", "- hosts"),
        ("", "banner.yml is no playbook", "- hosts"),
    ],
)
def test_what_ansible_would_refuse_after_minutes(
    tmp_path: Path, text: str, told: str, more: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        own_playbooks.check([feature(tmp_path, text)], KNOWN)
    assert told in caught.value.brief
    assert "feature banner" in caught.value.details
    assert more in f"{caught.value.details} {caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        "- hosts: control,nova-compute:&compute\n",
        "- hosts: control[0]\n",
        "- hosts: controller-1\n- hosts: [localhost, compute]\n",
        '- hosts: "{{ those }}"\n',
        "- hosts: ~comp.*\n- hosts: comp*\n",
        "- import_playbook: other.yml\n",
        "- hosts: all\n  vars: {secret: !vault x, plain: !unsafe '{{ a }}'}\n",
    ],
)
def test_what_ansible_takes(tmp_path: Path, text: str) -> None:
    own_playbooks.check([feature(tmp_path, text)], KNOWN)


@pytest.mark.parametrize("release", sorted(releases.RELEASES))
def test_playbooks_of_this_package_have_hosts(release: str) -> None:
    groups = catalogue.of_release(release).groups
    assert {"control", "compute", "neutron-server", "openvswitch"} <= groups
    own_playbooks.check(built_in(release), {*groups, "gateway", "gateway-1"})


def test_a_plan_refuses_it(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    given = Extension("one", features=(feature(tmp_path, "- hosts: compte\n"),))
    lab = Lab(
        Config(), Options(), features=["banner"], paths=paths, extensions=Extensions((given,))
    )
    with pytest.raises(ConfigError, match="no group or host 'compte'"):
        lab.plan()
