"""A clone: what its addresses are, and where the old ones are replaced."""

from __future__ import annotations

import io
import subprocess
import tarfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.engine.engine import BUILD, REUSE, Step
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.plugin.xdist import of_worker
from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.docker.clone import rewritten
from pytest_kollalab.settings.config import Options
from pytest_kollalab.settings.read import options as layered
from pytest_kollalab.stages.cloud import readdress
from pytest_kollalab.stages.states import clones
from pytest_kollalab.stages.states.saves import Save
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system.errors import ConfigError
from tests import made

MOVES = {"10.64.0.": "10.99.4.", "10.64.1.": "10.99.5."}


def test_networks_move_each_to_its_own() -> None:
    old, new = made.nodes(block="10.64."), made.nodes(block="172.31.", first=8)
    moves = {"10.64.1.": "172.31.9.", "10,64,1,": "172,31,9,"}
    found = addresses.between(old, new)
    assert {name: found[name] for name in moves} == moves
    assert len(found) == 8
    # RabbitMQ is told in Erlang's words.
    assert addresses.rewrite("{use_interface, {10,64,1,11}}", moves) == (
        "{use_interface, {172,31,9,11}}"
    )
    with pytest.raises(ValueError, match="is no /24"):
        addresses.moves({"management": "10.64.0.0/22"}, {"management": "10.99.0.0/22"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("host=10.64.0.11:3306", "host=10.99.4.11:3306"),
        ('"10.64.1.0/24", "10.64.0.12"', '"10.99.5.0/24", "10.99.4.12"'),
        ("110.64.0.11 and 1.10.64.0.3 are others", "110.64.0.11 and 1.10.64.0.3 are others"),
        ("10.64.2.11", "10.64.2.11"),
    ],
)
def test_only_whole_addresses_are_rewritten(before: str, after: str) -> None:
    assert addresses.rewrite(before, MOVES) == after


def test_what_was_written_is_not_written_again() -> None:
    assert addresses.rewrite("a b", {"a": "b", "b": "c"}) == "b c"
    assert addresses.rewrite("kollalab-lab-copy", {"kollalab-lab-": "kollalab-lab-2-"}) == (
        "kollalab-lab-2-copy"
    )
    assert addresses.rewrite("as it is", {}) == "as it is"


def test_a_tar_keeps_owners_modes_and_what_is_no_text() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("conf", b"at 10.64.0.11"), ("binary", b"\xff\x00")):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(data), 0o600, 42401
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "conf"
        tar.addfile(link)
    data = rewritten(buffer.getvalue(), lambda text: addresses.rewrite(text, MOVES))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: member for member in tar}
        texts = [file.read() for n in ("conf", "binary") if (file := tar.extractfile(n))]
    assert texts == [b"at 10.99.4.11", b"\xff\x00"]
    assert (found["conf"].mode, found["conf"].uid) == (0o600, 42401)
    assert found["link"].linkname == "conf"


def test_the_database_is_told_by_a_script_that_bash_reads(tmp_path: Path) -> None:
    text = readdress.script(resolve(["compute"], "2026.1"), "it's 100% $ecret", MOVES)
    client = tmp_path / "mariadb"
    # Shows what the real one is given: the file with the login, then the statements.
    client.write_text('#!/bin/sh\ncat "${1#*=}"\ncat\n')
    client.chmod(0o755)
    said = subprocess.run(
        ["bash", "-s"],
        input=text,
        text=True,
        capture_output=True,
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    ).stdout
    assert 'password="it\'s 100% $ecret"\n' in said
    assert (
        "UPDATE keystone.endpoint SET url = REGEXP_REPLACE(REGEXP_REPLACE(url, "
        r"'\\b10[.]64[.]0[.]', '10.99.4.'), '\\b10[.]64[.]1[.]', '10.99.5.');"
    ) in said
    assert "nova_api.cell_mappings" in said
    sfc = resolve(["sfc"], "2026.1")
    assert "nova" not in readdress.script(sfc, "x", MOVES)
    assert "10,64" not in readdress.script(sfc, "x", {**MOVES, "10,64,0,": "10,99,4,"})


def test_the_script_with_the_password_is_closed_to_others() -> None:
    (mode,) = [mode for _, mode in readdress.files(resolve([], "2026.1"), "x", MOVES).values()]
    assert mode == 0o600


def test_the_configuration_is_copied_with_its_modes(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "inventory").mkdir(parents=True)
    (old / "inventory" / "hosts").write_text("controller-1")
    (old / "passwords.yml").write_text("a: b")
    (old / "passwords.yml").chmod(0o600)
    (old / "globals.yml").write_text(f"vip: 10.64.1.11\nat: {old}/config\n")
    readdress.configuration(old, new, {**MOVES, str(old): str(new)})
    assert (new / "globals.yml").read_text() == f"vip: 10.99.5.11\nat: {new}/config\n"
    assert (new / "inventory" / "hosts").is_file()
    assert (new / "passwords.yml").stat().st_mode & 0o777 == 0o600


def test_nodes_are_named_in_the_order_of_their_addresses() -> None:
    nodes = made.nodes({"compute-1": 12, "controller-1": 11, "gateway-1": 13, "alpha-1": 110})
    source = CloneSource("lab", "golden.1", nodes, Path(), (), lambda: pytest.fail("held"))
    assert source.names == ("controller-1", "compute-1", "gateway-1", "alpha-1")


def test_the_plan_says_what_is_cloned() -> None:
    steps = [Step("images", BUILD, "not built yet", "i"), Step("nodes", REUSE, "unchanged", "n"),
             Step("cloud", BUILD, "it failed", "c")]  # fmt: skip
    found = clones.plan(steps, "lab")
    assert found[:2] == steps[:2]
    assert str(found[2]) == "cloud   clone  c  of lab lab: it failed"


def test_workers_have_labs_in_turn() -> None:
    options = layered({"labs": 2, "name": "mine"})
    names = [of_worker(options, number).name for number in range(4)]
    assert names == ["mine", "mine-2", "mine", "mine-2"]
    assert of_worker(options, 0).name == "mine"
    assert of_worker(options, 1).clone_of == "mine"
    assert of_worker(replace(Options(), name="one"), 3) == Options(name="one")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"labs": 0}, "labs: 0 is not possible"),
        ({"labs": 2, "name": "a" * 19}, "cannot be the name of a lab"),
        ({"clone_of": "lab"}, "lab lab cannot be its own clone"),
        ({"hosts": ["qemu:///system"]}, "hosts: the provider has to be named"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        layered(given)


def test_a_number_may_come_as_text() -> None:
    assert layered({"labs": "3"}).labs == 3
    with pytest.raises(ConfigError, match="labs: 'many' is no whole number"):
        layered({"labs": "many"})


def test_labs_are_spread_over_hosts_in_turn() -> None:
    here, there = "qemu:///system", "qemu+ssh://other/system"
    given = {"labs": 3, "provider": "libvirt", "hosts": [here, there]}
    options = layered(given)
    found = [of_worker(options, number).provider_uri for number in range(3)]
    assert found == [here, there, here]


def rewind(cloud_run: str, *saves: Save, whole: bool = True) -> Any:
    there = {
        stage: Record(stage, "k", run, READY, inputs={}, made=made.of(stage).to_json())
        for stage, run in (("nodes", "r"), ("cloud", cloud_run))
    }
    return SimpleNamespace(
        whole=lambda: dict.fromkeys(saves, whole),
        engine=SimpleNamespace(
            lab="lab",
            locked=lambda _: nullcontext(),
            record=there.get,
            made=lambda kind: there[kind.stage].read(kind),
        ),
        saves=SimpleNamespace(folder=Path("/saves")),
        resolve=lambda names: resolve(names, "2026.1"),
    )


OLD = Save("golden", "golden.1", "2026-01-01T00:00:00Z", "r", "first")
NEW = Save("golden", "golden.2", "2026-01-02T00:00:00Z", "r", "second")


def test_a_lab_is_cloned_from_the_golden_state_of_the_cloud_that_it_has() -> None:
    found = clones.source(rewind("second", OLD, NEW))
    assert found is not None
    assert (found.lab, found.label, found.folder) == ("lab", "golden.2", Path("/saves/golden.2"))


@pytest.mark.parametrize(
    "base",
    [
        pytest.param(rewind("second"), id="none saved"),
        pytest.param(rewind("second", OLD), id="of an earlier cloud"),
        pytest.param(rewind("second", NEW, whole=False), id="not whole any more"),
        pytest.param(rewind("second", replace(NEW, name="mine")), id="saved by a user"),
        pytest.param(rewind("", replace(NEW, cloud="")), id="nodes alone"),
    ],
)
def test_without_such_a_state_there_is_nothing_to_clone(base: Any) -> None:
    assert clones.source(base) is None


def test_what_the_cloud_stage_needs_is_kept_closed(tmp_path: Path) -> None:
    golden = tmp_path / "golden.1"
    (golden / "cloud" / "etc").mkdir(parents=True)
    (golden / "cloud" / "etc" / "passwords.yml").write_text("database_password: word\n")
    (golden / "cloud.json").write_text("{}")
    features = resolve([], "2026.1")
    source = CloneSource("lab", "golden.1", made.nodes({}), golden, features, nullcontext)
    kept = tmp_path / "clone"
    source.keep(kept)
    assert (kept / "etc" / "passwords.yml").is_file()
    assert kept.stat().st_mode & 0o777 == 0o700
    (text, _) = source.origin().files(MOVES)[readdress.SCRIPT]
    assert 'password="word"' in text
