"""Saved docker nodes as files: archives of docker, and what is left out or renamed of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.providers.base import NodesMade, PackedImage
from pytest_kollalab.providers.docker import archives, carry
from pytest_kollalab.providers.docker.spec import LAYERS
from pytest_kollalab.stages.golden import records as travelling
from pytest_kollalab.stages.golden.store import chains_of
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import StageError
from tests import made


def layer(folder: Path, name: str, *paths: str) -> Path:
    """An archive with files of these paths."""
    path = folder / name
    with tarfile.open(path, "w") as tar:
        for each in paths:
            member = tarfile.TarInfo(each)
            member.size = len(each)
            member.pax_headers = {"SCHILY.xattr.user.note": "kept"}
            tar.addfile(member, io.BytesIO(each.encode()))
    return path


def diff(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def image(*layers: Path, **config: Any) -> PackedImage:
    rootfs = {"type": "layers", "diff_ids": [diff(each) for each in layers]}
    return PackedImage({"os": "linux", "rootfs": rootfs, **config}, layers)


def test_images_are_what_they_were_after_an_archive(tmp_path: Path) -> None:
    shared, one, other = (layer(tmp_path, name, name) for name in ("shared", "one", "other"))
    before = {"a/b:1": image(shared, one), "a/c:2": image(shared, other)}
    (tmp_path / "archive.tar").write_bytes(b"".join(archives.write(before)))
    with tarfile.open(tmp_path / "archive.tar") as tar:
        names = tar.getnames()
    # What two images have is there once.
    assert len(names) == len(set(names)) == 2 + 3 + 1
    (tmp_path / "read").mkdir()
    after = archives.read(tmp_path / "archive.tar", tmp_path / "read")
    assert list(after) == list(before)
    for name, found in after.items():
        assert found.config == before[name].config
        for path, was in zip(found.layers, before[name].layers, strict=True):
            assert path.read_bytes() == was.read_bytes()
    assert after["a/b:1"].layers[0] == after["a/c:2"].layers[0]


def test_an_archive_that_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="not known"):
        archives.read(layer(tmp_path, "other", "file"), tmp_path)


def test_what_is_left_out_changes_the_identity_of_a_layer(tmp_path: Path) -> None:
    path = layer(tmp_path, "layer", "etc/hosts", "root/.ssh/authorized_keys", "etc/machine-id")
    before = diff(path)
    found = archives.without(path, carry.is_public)
    assert found == diff(path) != before
    with tarfile.open(path) as tar:
        (member,) = tar.getmembers()
    assert member.name == "etc/hosts"
    assert member.pax_headers["SCHILY.xattr.user.note"] == "kept"


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("etc/kolla/nova-api/nova.conf", True),
        ("etc/ssh/sshd_config.d/kollalab.conf", True),
        ("etc/ssh/ssh_host_ed25519_key", False),
        ("etc/ssh/ssh_host_ed25519_key.pub", False),
        ("root/.ssh/authorized_keys", False),
        ("root/.bash_history", False),
        ("var/log/journal/1/system.journal", False),
        ("etc/machine-id", False),
    ],
)
def test_keys_and_histories_stay(path: str, public: bool) -> None:
    assert carry.is_public(path) == public


def test_how_a_file_is_compressed_is_seen_by_its_beginning(tmp_path: Path) -> None:
    for start, kind in ((b"\x28\xb5\x2f\xfd", ".zst"), (b"\x1f\x8b\x08", ".gz"), (b"", "")):
        path = tmp_path / "file"
        path.write_bytes(start + b"rest")
        assert carry.compression(path) == kind


def test_a_node_is_made_from_what_this_host_has() -> None:
    body: dict[str, Any] = {
        "Networks": {"kollalab-old-provisioning": "10.64.0.11", "kollalab-old-tunnel": "1"},
        "HostConfig": {
            "CapDrop": ["SYS_RESOURCE"],
            "NetworkMode": "kollalab-old-provisioning",
            "Mounts": [
                {"Source": "kollalab-old-controller-1-docker", "Target": "/var/lib/docker"},
                {"Source": "kollalab-layers-t1", "Target": LAYERS},
            ],
        },
    }
    carry._moved(body, "old", "new", "kollalab-layers-t2", [])
    assert list(body["Networks"]) == ["kollalab-new-provisioning", "kollalab-new-tunnel"]
    host = body["HostConfig"]
    assert (host["CapDrop"], host["NetworkMode"]) == ([], "kollalab-new-provisioning")
    sources = {mount["Target"]: mount["Source"] for mount in host["Mounts"]}
    assert sources["/var/lib/docker"] == "kollalab-new-controller-1-docker"
    assert sources[LAYERS] == "kollalab-layers-t2"


def test_a_lab_that_is_called_layers_keeps_its_store() -> None:
    body: dict[str, Any] = {
        "Networks": {},
        "HostConfig": {
            "NetworkMode": "kollalab-layers-provisioning",
            "Mounts": [{"Source": "kollalab-layers-t1", "Target": LAYERS}],
        },
    }
    carry._moved(body, "layers", "new", "kollalab-layers-t1", [])
    assert body["HostConfig"]["Mounts"][0]["Source"] == "kollalab-layers-t1"


def test_the_layers_of_an_image_are_known_by_what_is_below_them() -> None:
    one, two = (f"sha256:{digit * 64}" for digit in "12")
    found = chains_of({"rootfs": {"diff_ids": [one, two]}}, ["a", "b"])
    both = hashlib.sha256(f"{one} {two}".encode()).hexdigest()
    assert found == {one: "a", f"sha256:{both}": "b"}


def cloud(home: Path) -> Path:
    """The folder of a saved state with a cloud."""
    lab, saved = home / "labs" / "lab", home / "labs" / "lab" / "saves" / "golden.1"
    etc = lab / "cloud" / "etc"
    result = made.cloud("core", folder=lab / "cloud")
    record = Record("cloud", "k1", "r1", READY, inputs={}, made=result.to_json(), needs={"a": "b"})
    records.save(saved / "cloud.json", record)
    files.write(saved / "cloud" / "etc" / "passwords.yml", "database_password: word\n")
    files.write(saved / "cloud" / "etc" / "ansible.cfg", f"ssh_args = -F {home}/ssh_config\n")
    files.write(saved / "cloud" / "etc" / "globals.yml", f"node_custom_config: {etc}/config\n")
    return saved


def test_the_files_of_a_cloud_tell_nothing_of_the_host(tmp_path: Path) -> None:
    home = tmp_path / "state"
    travelling.pack(cloud(home), home, tmp_path / "files.tar")
    assert str(tmp_path) not in (tmp_path / "files.tar").read_text()
    there = tmp_path / "there"
    travelling.unpack(tmp_path / "files.tar", there)
    found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    assert found == ["cloud.json", "cloud/etc/globals.yml", "cloud/etc/passwords.yml"]
    text = (there / "cloud" / "etc" / "globals.yml").read_text()
    assert text == "node_custom_config: /kollalab/cloud/etc/config\n"
    record = json.loads((there / "cloud.json").read_text())
    assert (record["key"], record["run"], record["needs"]) == ("k1", "", {})
    assert (there / "cloud" / "etc" / "passwords.yml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "cloud/../../outside"])
def test_files_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match="refused"):
        travelling.unpack(layer(tmp_path, "files.tar", name), tmp_path / "there" / "below")
    assert not (tmp_path / "there" / "outside").exists()


def test_nodes_are_described_without_their_host() -> None:
    before = made.nodes({}, extra={"docker": {"id": "x"}, "rack": "r7"})
    table = travelling.nodes(before)
    assert not {"ssh_config", "ssh_key", "docker"} & set(table)
    found = travelling.read_nodes(json.loads(json.dumps(table)))
    assert isinstance(found, NodesMade)
    assert (found.networks, found.nodes) == (before.networks, before.nodes)
    with pytest.raises(StageError, match="describes no nodes"):
        travelling.read_nodes({})
