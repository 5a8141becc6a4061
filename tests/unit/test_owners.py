"""Whose a resource is: by random identities, never by paths or names alone; in doubt another's."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.cli.frame import EXIT_BUSY
from pytest_kollalab.engine import owners, records
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import READY, Record, Tag
from pytest_kollalab.lab.gc import labs
from pytest_kollalab.providers.docker.owned import Owned
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.stages.images import registry
from pytest_kollalab.system import identity
from pytest_kollalab.system.errors import BusyError, StateError
from pytest_kollalab.system.paths import Paths

LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this host's identity."""
    monkeypatch.setattr(identity, "SYSTEM", tmp_path / "host")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "host"


def tag(home: Path, made: str = LONG_AGO, lab: str = "lab") -> Tag:
    return replace(owners.tag(lab, "nodes", "key", "run", home), made=made)


def record(home: Path, lab: str = "lab") -> None:
    path = home / "labs" / lab / "nodes.json"
    records.save(path, Record("nodes", "key", "run", READY, inputs={}))


def judged(home: Path, labels: Mapping[str, str]) -> str:
    found = Ownership(home)
    return "mine" if found.is_mine(labels) else "nobody's" if found.is_nobodys(labels) else "other"


def test_an_identity_is_random_and_stays(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert identity.of_state(one) == ""
    first = identity.make_state(one)
    assert first == identity.make_state(one) == identity.of_state(one)
    assert first != identity.make_state(two)
    assert (one / identity.FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in one.iterdir()] == [identity.FILE]
    host = identity.make_host()
    assert identity.of_host() == {host}
    shutil.rmtree(identity.SYSTEM)
    assert identity.of_host() == frozenset()
    assert identity.make_host() != host


def test_a_host_that_only_root_may_name_is_named_for_the_user(host: Path) -> None:
    host.write_text("a file, so that no folder can be made here")
    found = identity.make_host()
    assert found
    assert found == identity.make_host()
    host.unlink()
    # Once there is one for all users, what was made before is known as well.
    for_all = identity.make_host() if identity.of_host() == frozenset() else None
    assert for_all is None
    (host).mkdir()
    (host / identity.FILE).write_text("system\n")
    assert identity.make_host() != found
    assert found in identity.of_host()


def test_an_identity_that_cannot_be_read_is_an_error_and_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(identity, "_read", broken)
    with pytest.raises(StateError, match="cannot be read"):
        Ownership(tmp_path).is_mine({"kollalab.state": "x"})
    assert identity.of_host() == frozenset()


def test_what_carries_our_identity_is_ours_wherever_the_folder_is_now(tmp_path: Path) -> None:
    labels = tag(tmp_path / "before").labels()
    (tmp_path / "before").rename(tmp_path / "after")
    assert judged(tmp_path / "after", labels) == "mine"


def test_the_same_path_on_another_host_is_another_state_folder(tmp_path: Path, host: Path) -> None:
    home = tmp_path / "home"
    labels = tag(home).labels()
    # Another laptop: the same name of user, path and lab.
    shutil.rmtree(home)
    shutil.rmtree(host)
    record(home)
    identity.make_state(home)
    identity.make_host()
    assert judged(home, labels) == "other"
    (owner,) = Ownership(home).owners([labels, labels])
    assert not owner.mine
    assert str(home) in str(owner)
    assert identity.user() in str(owner)


def test_a_lab_is_nobodys_only_when_its_folder_is_absent_on_its_own_host(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    labels = tag(theirs).labels()
    record(theirs)
    assert judged(mine, labels) == "other"
    shutil.rmtree(theirs / "labs")
    assert judged(mine, labels) == "nobody's"
    (theirs / "golden" / "lab").mkdir(parents=True)
    assert judged(mine, labels) == "other"
    shutil.rmtree(theirs)
    assert judged(mine, labels) == "nobody's"
    assert judged(mine, labels | {"kollalab.host": "another"}) == "other"
    young = labels | {"kollalab.made": records.now()}
    assert judged(mine, young) == "other"
    assert Ownership(mine, abandoned=0).is_nobodys(young)
    for name in ("kollalab.host", "kollalab.home", "kollalab.made"):
        assert judged(mine, {k: v for k, v in labels.items() if k != name}) == "other"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTDIR])
def test_a_folder_that_cannot_be_looked_at_is_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    labels = tag(tmp_path / "theirs").labels()
    shutil.rmtree(tmp_path / "theirs")

    def fails(_: Path) -> Any:
        raise OSError(number, os.strerror(number))

    assert judged(tmp_path / "mine", labels) == "nobody's"
    monkeypatch.setattr(Path, "lstat", fails)
    assert judged(tmp_path / "mine", labels) == "other"
    monkeypatch.setattr(Path, "iterdir", fails)
    assert records.has_records(tmp_path / "theirs", "lab")


def test_what_an_older_version_made_is_ours_only_with_its_records(tmp_path: Path) -> None:
    home = tmp_path / "home"
    labels = {"kollalab.lab": "lab", "kollalab.home": str(home)}
    assert judged(home, labels) == "other"
    record(home)
    assert judged(home, labels) == "mine"
    assert judged(tmp_path / "another", labels) == "other"


def daemon(*things: Tag) -> Any:
    """A daemon with a container for each tag."""
    containers = [{"Id": t.state, "Labels": t.labels(), "Created": 0} for t in things]
    api = SimpleNamespace(
        containers=lambda **_: containers,
        networks=lambda **_: [],
        volumes=lambda **_: {"Volumes": None},
        images=lambda **_: [],
    )
    return SimpleNamespace(api=api)


def test_only_what_is_not_anothers_is_listed_for_removal(tmp_path: Path, paths: Paths) -> None:
    mine, theirs = tag(paths.state), tag(tmp_path / "theirs")
    record(tmp_path / "theirs")
    client = daemon(mine, theirs)
    assert [c["Id"] for c in Owned(client, paths.state).containers("lab")] == [mine.state]
    assert [owner.mine for owner in Owned(client, paths.state).owners("lab")] == [True, False]
    # Of ours there are no records.
    (item,) = labs.leftovers(client, paths, Ownership(paths.state))
    assert item.why == "1 container; lab lab does not exist"
    record(paths.state)
    assert not list(labs.leftovers(client, paths, Ownership(paths.state)))


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tag:
    """The lab `lab` of another client of the same daemon."""
    found = tag(tmp_path / "theirs")
    record(tmp_path / "theirs")
    provider = DockerProvider
    monkeypatch.setattr(provider, "client", property(lambda _: daemon(found)))
    monkeypatch.setattr(provider, "destroy", lambda *_: None)
    monkeypatch.setattr(provider, "problems", lambda _: [])
    monkeypatch.setattr(provider, "check_sources", lambda *_: None)
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return found


def test_up_refuses_a_name_that_another_client_has_before_it_builds(theirs: Tag) -> None:
    result = CliRunner().invoke(main, ["up", "--until", "nodes", "--feature", "core"])
    assert result.exit_code == EXIT_BUSY, result.output
    assert "the lab lab that is there already is not yours" in result.output
    assert f"{theirs.user} (state folder {theirs.home})" in result.output
    assert not (Path(theirs.home).with_name("cache") / "tools").exists()


def test_the_plan_says_whose_the_name_is(theirs: Tag) -> None:
    result = CliRunner().invoke(main, ["plan", "--until", "nodes", "--feature", "core"])
    assert f"the name lab is taken: that lab belongs to {theirs.user}" in result.output


def test_down_does_not_say_that_anothers_lab_is_gone(theirs: Tag) -> None:
    result = CliRunner().invoke(main, ["down"])
    assert result.exit_code == EXIT_BUSY, result.output
    assert theirs.user in result.output
    assert "is gone" not in result.output


def test_down_says_when_there_was_no_lab(theirs: Tag, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["down", "--name", "none"])
    assert result.exit_code == EXIT_BUSY  # this daemon has the container whatever is asked for
    shutil.rmtree(tmp_path / "theirs")
    result = CliRunner().invoke(main, ["down", "--name", "none"])
    assert (result.exit_code, result.output) == (0, "there is no lab none\n")
    record(tmp_path / "state")
    result = CliRunner().invoke(main, ["down"])
    assert (result.exit_code, result.output) == (0, "lab lab is gone\n")


def test_the_provider_refuses_as_well(theirs: Tag, paths: Paths) -> None:
    from pytest_kollalab.providers.base import check_owners

    provider = DockerProvider("", "", paths)
    with pytest.raises(BusyError, match="is not yours"):
        check_owners(provider, "lab")


def test_only_this_hosts_killed_push_is_swept(tmp_path: Path) -> None:
    store, removed = tmp_path / "cache" / "registry", []
    mine = tag(tmp_path / "mine")

    def pushing(host: str) -> Any:
        return SimpleNamespace(
            labels=mine.labels() | {"kollalab.host": host},
            attrs={"Mounts": [{"Source": str(store)}]},
            remove=lambda **_: removed.append(host),
        )

    there = [pushing(mine.host), pushing("another")]
    client: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: there))
    registry.sweep(client, store)
    assert removed == [mine.host]
