"""The end of a project: what an API refuses to remove goes with the rest, or is told."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from openstack import exceptions

from pytest_kollalab.sdn.tenant import leftovers
from pytest_kollalab.sdn.tenant.project import Project
from pytest_kollalab.system.errors import KollalabError, WaitError


def refuse(*_: object, **__: object) -> None:
    raise exceptions.ConflictException("ports are still in use")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the last removal of everything that is left could not remove."""
    found: list[str] = []
    monkeypatch.setattr(leftovers, "sweep", lambda *_: found)
    return found


@pytest.fixture
def project(left: list[str]) -> Project:
    admin: Any = mock.Mock()
    project = Project(admin, "one", None)
    project.__enter__()
    return project


def test_a_network_that_is_in_use_goes_with_the_rest(project: Project) -> None:
    done: list[str] = []
    project.undo.callback(done.append, "the first")
    project.undo.callback(refuse)
    project.close()
    assert done == ["the first"]
    assert project.is_closed


def test_what_stays_is_told(project: Project, left: list[str]) -> None:
    left.append("network one: in use")
    project.undo.callback(refuse)
    with pytest.raises(KollalabError, match="could not be emptied") as error:
        project.close()
    assert error.value.details == "network one: in use"
    assert project.is_closed


@pytest.mark.parametrize("first", [True, False])
def test_another_error_is_not_lost(project: Project, first: bool) -> None:
    def fail() -> None:
        raise WaitError("the VNF is there")

    for removal in (fail, refuse) if first else (refuse, fail):
        project.undo.callback(removal)
    with pytest.raises(WaitError, match="the VNF is there"):
        project.close()


def test_each_removal_of_a_part_is_done_and_each_error_told(project: Project) -> None:
    done: list[str] = []

    def fail() -> None:
        raise WaitError("the VNF is there")

    def part() -> None:
        with project.part():
            project.undo.callback(done.append, "the first")
            project.undo.callback(refuse)
            project.undo.callback(fail)

    with pytest.raises(KollalabError) as error:
        part()
    assert done == ["the first"]
    assert "the VNF is there" in error.value.details
    assert "ports are still in use" in error.value.details
    project.close()


def test_a_single_error_of_a_part_is_raised_as_it_is(project: Project) -> None:
    def part() -> None:
        with project.part():
            project.undo.callback(refuse)

    with pytest.raises(exceptions.ConflictException):
        part()
    project.close()


def test_an_identity_service_that_refuses_is_told(project: Project) -> None:
    admin: Any = project.admin
    admin.identity.delete_project.side_effect = refuse
    with pytest.raises(exceptions.ConflictException):
        project.close()
