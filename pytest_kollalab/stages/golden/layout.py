"""OCI's image layout, as a folder or as a tar file of it."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pytest_kollalab.stages.golden.artifact import ALGORITHM, CHUNK, MANIFEST, Blob, digest_of
from pytest_kollalab.stages.golden.place import Moved, Place
from pytest_kollalab.system import files, locks, process, temporary
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError, StageError

LAYOUT, INDEX = "oci-layout", "index.json"
VERSION = json.dumps({"imageLayoutVersion": "1.0.0"})
NAME = "org.opencontainers.image.ref.name"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LOCK = ".lock"


class Folder(Place):
    """A folder in OCI's image layout. What is there by its digest is whole.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self.root / "blobs" / "sha256" / digest.removeprefix(ALGORITHM)

    def manifest(self, tag: str) -> bytes | None:
        """Read the manifest with a tag."""
        with _readable(self.root):
            digest = _tags(_index(self.root / INDEX)).get(tag)
            return self.path(digest).read_bytes() if digest is not None else None

    def has(self, blob: Blob) -> bool:
        """Whether a file of this digest and size is there."""
        try:
            return self.path(blob.digest).stat().st_size == blob.size
        except OSError:
            return False

    def get(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Link or copy a blob."""
        with _readable(self.root):
            there = self.path(blob.digest)
            if not path.exists():
                try:
                    os.link(there, path)
                except OSError:
                    # Another file system, or a file of another user's.
                    shutil.copyfile(there, path)
                moved(blob.size)
                return
            with there.open("rb") as source:
                _append(source, path, moved)

    def put(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Copy a blob into the folder."""
        with _writable(self.root):
            there = self.path(blob.digest)
            there.parent.mkdir(parents=True, exist_ok=True)
            half = there.with_name(f".{there.name}.{process.mark()}.half")
            try:
                shutil.copyfile(path, half)
                half.replace(there)
            finally:
                half.unlink(missing_ok=True)
            moved(blob.size)

    def tag(self, tag: str, manifest: bytes) -> None:
        """Write the manifest and name it in the index."""
        with _writable(self.root):
            _tidy(self.path(""))
            digest = digest_of(manifest)
            files.write(self.path(digest), manifest.decode(), mode=0o644)
            if not (self.root / LAYOUT).exists():
                files.write(self.root / LAYOUT, VERSION, mode=0o644)
            with locks.exclusive(self.root / LOCK, f"name the golden state {tag}"):
                self._write(_named(_index(self.root / INDEX), tag, digest, len(manifest)))

    def tags(self) -> dict[str, str]:
        """The digest of each manifest, by its tag."""
        with _readable(self.root):
            return _tags(_index(self.root / INDEX))

    def forget(self, tag: str) -> None:
        """Remove a tag. Its blobs stay."""
        with _writable(self.root), locks.exclusive(self.root / LOCK, f"forget {tag}"):
            index = {**_index(self.root / INDEX)}
            index["manifests"] = _others(index, tag)
            self._write(index)

    def _write(self, index: Mapping[str, Any]) -> None:
        files.write(self.root / INDEX, json.dumps(index, indent=2) + "\n", mode=0o644)


class Archive(Place):
    """A tar file of OCI's image layout with a single golden state, such as a CI system's cache has.

    It is written anew as a whole when something is tagged, with all that this object was given.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._given: dict[str, Path] = {}
        self._tagged: dict[str, bytes] = {}
        self._members: dict[str, tarfile.TarInfo] | None = None

    def __str__(self) -> str:
        return str(self.file)

    def manifest(self, tag: str) -> bytes | None:
        """Read the manifest with a tag."""
        with _readable(self.file):
            if INDEX not in self._listed():
                return None
            digest = _tags(json.loads(self._read(INDEX))).get(tag)
            return self._read(_member(digest)) if digest is not None else None

    def has(self, blob: Blob) -> bool:
        """Whether a blob is in the file, or was given for the next one."""
        # The file is written anew: it has what is given, and nothing of what it had.
        return blob.digest in self._given

    def get(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Copy a blob out of the file."""
        with _readable(self.file):
            member = self._listed().get(_member(blob.digest))
            if member is None:
                raise StageError(f"{self.file} does not have {blob.digest}")
            with tarfile.open(self.file) as tar:
                source = tar.extractfile(member)
                assert source is not None, "blobs are plain files"
                _append(source, path, moved)

    def put(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Note a blob for the file, which is written when it is tagged."""
        self._given[blob.digest] = path
        moved(blob.size)

    def tag(self, tag: str, manifest: bytes) -> None:
        """Write the file."""
        self._tagged[tag] = manifest
        index: dict[str, Any] = {}
        for name, text in self._tagged.items():
            index = _named(index, name, digest_of(text), len(text))
        half = self.file.with_name(f".{self.file.name}.{process.mark()}.half")
        with _writable(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            _tidy(self.file.parent, f".{self.file.name}.")
            try:
                with tarfile.open(half, "w") as tar:
                    _add(tar, LAYOUT, VERSION.encode())
                    _add(tar, INDEX, json.dumps(index, indent=2).encode())
                    for text in self._tagged.values():
                        _add(tar, _member(digest_of(text)), text)
                    for each, path in sorted(self._given.items()):
                        tar.add(path, _member(each), filter=_plain)
                point("push:archived")
                half.replace(self.file)
            finally:
                half.unlink(missing_ok=True)
        self._members = None

    def _listed(self) -> Mapping[str, tarfile.TarInfo]:
        if self._members is None:
            if not self.file.exists():
                return {}
            with tarfile.open(self.file) as tar:
                self._members = {each.name: each for each in tar.getmembers() if each.isreg()}
        return self._members

    def _read(self, name: str) -> bytes:
        with tarfile.open(self.file) as tar:
            file = tar.extractfile(self._listed()[name])
            assert file is not None, "only plain files are listed"
            return file.read()


def _tidy(folder: Path, beginning: str = ".") -> None:
    """Remove what a push that was killed left half written."""
    for path in temporary.abandoned(folder, depth=1):
        if path.name.startswith(beginning) and path.name.endswith(".half"):
            path.unlink(missing_ok=True)


def _index(path: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
    return table


def _tags(index: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for each in index.get("manifests", ()):
        name = (each.get("annotations") or {}).get(NAME)
        if name:
            found[str(name)] = str(each["digest"])
    return found


def _named(index: Mapping[str, Any], tag: str, digest: str, size: int) -> dict[str, Any]:
    """An index in which a manifest has a tag, and no other one has it."""
    mine = {"mediaType": MANIFEST, "digest": digest, "size": size, "annotations": {NAME: tag}}
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*_others(index, tag), mine]}


def _others(index: Mapping[str, Any], tag: str) -> list[Any]:
    found = index.get("manifests", ())
    return [each for each in found if (each.get("annotations") or {}).get(NAME) != tag]


def _member(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix(ALGORITHM)}"


def _append(source: IO[bytes], path: Path, moved: Moved) -> None:
    with path.open("ab") as target:
        source.seek(target.tell())
        while data := source.read(CHUNK):
            target.write(data)
            moved(len(data))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without what the user's files tell of the user."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


@contextmanager
def _readable(where: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise StageError(f"{where} cannot be read", details=str(error)) from error


@contextmanager
def _writable(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(
            f"{where} cannot be written",
            details=str(error.strerror or error),
            hint="name another place, or let this user write there",
        ) from error
