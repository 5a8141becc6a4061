"""The storage of libvirt's host: one pool, filled and read through libvirt's own streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pytest_kollalab.providers.libvirt import xml as libvirt_xml
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.system.crash_points import point

if TYPE_CHECKING:
    import libvirt

POOL = "kollalab"
FOLDER = "/var/lib/libvirt/images/kollalab"
CHUNK = 1 << 20


class Storage:
    """The pool of a libvirt host in which base images and the disks of labs are."""

    def __init__(self, host: LibvirtHost) -> None:
        self.host = host

    def pool(self) -> libvirt.virStoragePool:
        """The pool, made where it is missing and started where it is not."""
        import libvirt

        connection = self.host.connection
        with self.host.doing(
            f"provide the storage pool {POOL}",
            f"look at `virsh pool-info {POOL}`; it must be a folder that libvirt may write",
        ):
            try:
                pool = connection.storagePoolLookupByName(POOL)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                    raise
                try:
                    pool = connection.storagePoolDefineXML(libvirt_xml.pool_xml(POOL, FOLDER))
                except libvirt.libvirtError:
                    # Another process was faster.
                    pool = connection.storagePoolLookupByName(POOL)
            if not pool.isActive():
                pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
            return pool

    def names(self) -> list[str]:
        """The volumes of the pool; none where there is no pool yet."""
        import libvirt

        try:
            pool = self.host.connection.storagePoolLookupByName(POOL)
            if not pool.isActive():
                return []
            _refresh(pool)
            return list(pool.listVolumes())
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
                return []
            raise

    def path(self, name: str) -> str:
        """Where a volume of that name is on libvirt's host, whether it is there or not."""
        folder = libvirt_xml.value_in(self.pool().XMLDesc(), "target/path")
        return f"{folder}/{name}"

    def volume(self, name: str) -> libvirt.virStorageVol | None:
        """The volume of that name, or None."""
        import libvirt

        try:
            return self.pool().storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                return None
            raise

    def upload(self, name: str, source: Path, form: str, *, secret: bool = False) -> str:
        """Have a file there as a volume, and return its path."""
        with source.open("rb") as file:
            return self._fill(name, file, source.stat().st_size, form, secret=secret)

    def upload_once(self, name: str, source: Path, form: str) -> str:
        """The same for what never changes: it is there whole, or not under its name.

        libvirt cannot rename a volume; an empty one beside it tells that all has arrived.
        """
        done = f"{name}.complete"
        there = self.names()
        if name in there and done in there:
            return self.path(name)
        path = self.upload(name, source, form)
        point("nodes:base-uploaded")
        with self.host.doing(f"make the volume {done}"):
            self.pool().createXML(libvirt_xml.volume_xml(done, 0, "raw"))
        return path

    def overlay(self, name: str, base: str, size: int) -> str:
        """Make a disk of `size` bytes that starts as the volume at the path `base`."""
        with self.host.doing(f"make the disk {name}"):
            self.remove(name)
            form = libvirt_xml.volume_xml(name, size, "qcow2", base)
            return str(self.pool().createXML(form).path())

    def remove(self, name: str) -> None:
        """Remove a volume that may not be there."""
        volume = self.volume(name)
        if volume is not None:
            with self.host.doing(f"remove the volume {name}"):
                volume.delete()

    def size_of(self, name: str) -> int:
        """The bytes that a volume takes; 0 when it is not there."""
        volume = self.volume(name)
        return int(volume.info()[2]) if volume is not None else 0

    def age_of(self, name: str) -> float:
        """The seconds since a volume was written last; 0 when it is not there."""
        volume = self.volume(name)
        if volume is None:
            return 0.0
        written = libvirt_xml.value_in(volume.XMLDesc(), "target/timestamps/mtime")
        return time.time() - float(written)

    def base_of(self, name: str) -> str:
        """The name of the volume that a disk stands on; empty when it stands on its own."""
        volume = self.volume(name)
        if volume is None:
            return ""
        return Path(libvirt_xml.value_in(volume.XMLDesc(), "backingStore/path")).name

    def tail(self, name: str, size: int) -> bytes:
        """The last `size` bytes of a volume; empty when there is none."""
        volume = self.volume(name)
        if volume is None:
            # A console is a file that QEMU has begun meanwhile.
            _refresh(self.pool())
            volume = self.volume(name)
        if volume is None:
            return b""
        length = int(volume.info()[1])
        return b"".join(self._read(volume, max(0, length - size)))

    def _fill(self, name: str, file: BinaryIO, size: int, form: str, *, secret: bool) -> str:
        with self.host.doing(f"upload {name}"):
            self.remove(name)
            # Raw until it is filled: the format says what those who use it will find.
            xml = libvirt_xml.volume_xml(name, size, "raw", secret=secret)
            volume = self.pool().createXML(xml)
            stream = self.host.connection.newStream()
            volume.upload(stream, 0, size)
            stream.sendAll(lambda _stream, count, _opaque: file.read(count), None)
            stream.finish()
            if form != "raw":
                _refresh(self.pool())
            return str(volume.path())

    def _read(self, volume: libvirt.virStorageVol, start: int) -> Iterator[bytes]:
        with self.host.doing(f"read {volume.name()}"):
            stream = self.host.connection.newStream()
            volume.download(stream, start, 0)
            while data := stream.recv(CHUNK):
                yield data
            stream.finish()


def _refresh(pool: libvirt.virStoragePool) -> None:
    """Have libvirt look at the folder again; while somebody fills a volume it does not."""
    import libvirt

    with suppress(libvirt.libvirtError):
        pool.refresh()


def volume_name(lab: str, thing: str) -> str:
    """The name of a volume of a lab; names of labs have no dot."""
    return f"{lab}.{thing}"


def lab_of(volume: str) -> str:
    """The lab that a volume belongs to; empty for what all labs share."""
    lab, dot, _ = volume.partition(".")
    return lab if dot and not volume.startswith("base-") else ""
