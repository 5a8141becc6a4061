"""Places for golden states that need no registry, and what is moved between them."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from pytest_kollalab.settings.config import Options
from pytest_kollalab.settings.convert import Place as Written
from pytest_kollalab.settings.convert import parse
from pytest_kollalab.settings.declare import settings
from pytest_kollalab.stages.golden import artifact, place_at, signature, transfer
from pytest_kollalab.stages.golden.artifact import Blob, Manifest
from pytest_kollalab.stages.golden.layout import Archive, Folder
from pytest_kollalab.stages.golden.place import Moved, Place
from pytest_kollalab.stages.golden.remote import Remote
from pytest_kollalab.system import ssh
from pytest_kollalab.system.errors import ConfigError, KollalabError, StageError
from pytest_kollalab.system.run import run
from tests.golden import golden

NAME = "org.opencontainers.image.ref.name"


def blobs(folder: Path, *texts: str) -> dict[Blob, Path]:
    """Files with these texts, as blobs."""
    folder.mkdir(exist_ok=True)
    found = {}
    for number, text in enumerate(texts):
        path = folder / str(number)
        path.write_text(text)
        found[Blob(artifact.digest_of(text.encode()), len(text))] = path
    return found


def quiet(_: str) -> None:
    pass


def pushed(place: Place, folder: Path, *texts: str, tag: str = "k1") -> Manifest:
    """Push blobs with a manifest."""
    files = blobs(folder, *texts)
    manifest, config = artifact.make(golden(), files)
    path = folder / "config"
    path.write_bytes(config)
    files[manifest.config] = path
    transfer.upload(place, files, quiet)
    place.tag(tag, manifest.text())
    return manifest


@pytest.fixture(params=["folder", "archive"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "layout")
    return Archive(tmp_path / "below" / "golden.tar")


def again(place: Place) -> Place:
    """The same place for another process."""
    return Folder(place.root) if isinstance(place, Folder) else Archive(place.file)  # type: ignore[attr-defined]


def test_what_was_pushed_comes_back(place: Place, tmp_path: Path) -> None:
    assert place.manifest("k1") is None
    manifest = pushed(place, tmp_path / "files", "one", "two" * 1000)
    there = again(place)
    assert there.manifest("k1") == manifest.text()
    assert there.manifest("k2") is None
    cache = Folder(tmp_path / "cache")
    transfer.download(there, manifest.blobs, cache, quiet)
    for blob in manifest.blobs:
        assert artifact.digest_of_file(cache.path(blob.digest)) == blob.digest
    assert all(map(cache.has, manifest.blobs))


def test_a_folder_is_an_image_layout_whose_states_share(tmp_path: Path) -> None:
    place = Folder(tmp_path / "layout")
    pushed(place, tmp_path / "files", "shared", "one")
    files = blobs(tmp_path / "more", "shared", "other")
    sent, there = transfer.upload(place, files, quiet)
    assert (sent, there) == (len("other"), len("shared"))
    place.tag("k2", Manifest(next(iter(files)), ()).text())
    index = json.loads((place.root / "index.json").read_text())
    assert json.loads((place.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    names = [
        each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]
    ]
    assert names == ["k1", "k2"]
    place.forget("k1")
    assert list(place.tags()) == ["k2"]


def test_a_file_is_an_image_layout_and_tells_nothing_of_its_user(tmp_path: Path) -> None:
    place = Archive(tmp_path / "golden.tar")
    pushed(place, tmp_path / "files", "one")
    with tarfile.open(place.file) as tar:
        members = tar.getmembers()
    assert {"oci-layout", "index.json"} < {member.name for member in members}
    assert {(m.uid, m.uname, m.mtime) for m in members} == {(0, "", 0)}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_push_left_half_written_goes_with_the_next(
    place: Place, tmp_path: Path
) -> None:
    script = "from pytest_kollalab.system import process; print(process.mark())"
    mark = run([sys.executable, "-c", script]).stdout.strip()
    folder = place.path("") if isinstance(place, Folder) else tmp_path / "below"
    folder.mkdir(parents=True)
    name = "golden.tar" if isinstance(place, Archive) else "0" * 64
    (folder / f".{name}.{mark}.half").write_text("half")
    pushed(place, tmp_path / "files", "one")
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


class Breaks(Folder):
    """A place that breaks off in the middle of each blob, so many times."""

    times = 1

    def get(self, blob: Blob, path: Path, moved: Moved) -> None:
        self.asked = getattr(self, "asked", 0) + 1
        there = path.stat().st_size if path.exists() else 0
        with self.path(blob.digest).open("rb") as source, path.open("ab") as target:
            source.seek(there)
            broken = self.asked <= self.times
            target.write(source.read(blob.size // 2 if broken else -1))
        if broken:
            raise StageError("the registry is gone")


def test_what_came_before_a_break_is_not_asked_for_again(tmp_path: Path) -> None:
    place = Breaks(tmp_path / "layout")
    files = blobs(tmp_path / "files", "0123456789")
    transfer.upload(place, files, quiet)
    (blob,) = files
    cache = Folder(tmp_path / "cache")
    with pytest.raises(StageError, match="is gone"):
        transfer.download(place, [blob], cache, quiet)
    part = cache.path(blob.digest).with_suffix(".part")
    assert part.read_text() == "01234"
    assert not cache.has(blob)
    transfer.download(place, [blob], cache, quiet)
    assert cache.path(blob.digest).read_text() == "0123456789"
    assert not part.exists()


def test_a_blob_with_a_wrong_digest_is_not_used_and_asked_for_anew(tmp_path: Path) -> None:
    place = Folder(tmp_path / "layout")
    files = blobs(tmp_path / "files", "0123456789")
    transfer.upload(place, files, quiet)
    (blob,) = files
    path = place.path(blob.digest)
    path.write_text("0123456780")
    cache = Folder(tmp_path / "cache")
    with pytest.raises(StageError, match="has something else under"):
        transfer.download(place, [blob], cache, quiet)
    assert not cache.has(blob)
    path.unlink()
    path.write_text("0123456789")
    transfer.download(place, [blob], cache, quiet)
    assert cache.has(blob)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = Folder(tmp_path / "file" / "below")
    with pytest.raises(KollalabError, match="cannot be written"):
        pushed(place, tmp_path / "files", "one")


def test_an_index_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(StageError, match="cannot be read"):
        Folder(tmp_path).manifest("k1")
    (tmp_path / "tar").write_text("no tar")
    with pytest.raises(StageError, match="cannot be read"):
        Archive(tmp_path / "tar").manifest("k1")


def test_progress_is_told_four_times_at_most() -> None:
    said: list[str] = []
    tally = transfer.Tally(100 * 2**20, "fetched", said.append)
    for _ in range(100):
        tally.moved(2**20)
    assert said == ["fetched: 25 of 100 MiB", "fetched: 50 of 100 MiB", "fetched: 75 of 100 MiB"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("oci:/var/golden", Folder),
        ("oci-archive:/var/golden.tar", Archive),
        ("registry.example:5000/kollalab", Remote),
    ],
)
def test_a_setting_names_a_place(text: str, kind: type[Place]) -> None:
    place_at.check(text)
    found = place_at.place_at(text)
    assert isinstance(found, kind)
    found.close()


def test_all_states_of_a_namespace_are_in_one_repository() -> None:
    found = place_at.place_at("registry.example/a/b")
    assert str(found) == "registry.example/a/b/golden"
    found.close()


@pytest.mark.parametrize("text", ["oci:", "nowhere", "https://registry.example/a"])
def test_a_setting_that_names_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="golden_registry"):
        place_at.check(text)


def test_a_relative_path_counts_from_where_it_was_written(tmp_path: Path) -> None:
    setting = settings(Options)["golden_registry"]
    where = Written("kollalab.toml", "golden_registry", tmp_path)
    assert parse(setting, "oci:golden", where) == f"oci:{tmp_path}/golden"
    assert parse(setting, "registry.example/a", where) == "registry.example/a"


def test_a_signature_is_of_one_state_and_of_those_who_are_allowed(tmp_path: Path) -> None:
    place = Folder(tmp_path / "layout")
    manifest = pushed(place, tmp_path / "files", "one")
    for name in ("ours", "other"):
        ssh.make_key(tmp_path / name, name)
    (tmp_path / "work").mkdir()
    allowed = tmp_path / "signers"
    public = (tmp_path / "ours.pub").read_text().split()[:2]
    allowed.write_text(f"ci@example {' '.join(public)}\n")
    signers = str(allowed)
    with pytest.raises(StageError, match="is not signed"):
        signature.check(place, "k1", manifest.text(), signers)
    signature.sign(place, "k1", manifest, str(tmp_path / "other"), tmp_path / "work")
    with pytest.raises(StageError, match="is not signed by anybody of"):
        signature.check(place, "k1", manifest.text(), signers)
    os.unlink(tmp_path / "work" / "manifest.sig")
    signature.sign(place, "k1", manifest, str(tmp_path / "ours"), tmp_path / "work")
    assert signature.check(place, "k1", manifest.text(), signers) == "ci@example"
    with pytest.raises(StageError, match="is not signed by anybody of"):
        signature.check(place, "k1", manifest.text() + b" ", signers)
    cache = Folder(tmp_path / "cache")
    signature.copy(place, "k1", cache, tmp_path)
    assert signature.check(cache, "k1", manifest.text(), signers) == "ci@example"
    # Nobody asks for one who does not say whose counts.
    assert signature.check(Folder(tmp_path / "empty"), "k1", b"", "") == ""
