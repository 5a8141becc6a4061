"""The probe: whether KVM at a libvirt host really runs a guest, found out by running one."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from pytest_kollalab.providers.libvirt import xml
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.storage import Storage
from pytest_kollalab.system import files, temporary
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import KollalabError, WaitError
from pytest_kollalab.system.wait import until

# A boot sector. It fills page tables at 0x1000, 0x2000 and 0x3000 with one page of 2 MiB, enters
# long mode with paging, counts down from ten million, and switches the machine off by writing
# 0x2000 to port 0x604, the power management of the i440FX. There are hosts whose KVM makes a
# machine and gets through real mode, but never gets any further; a second is what others take.
CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cbf0010b90030f3aa66c70600100320000066c706"
    "00200330000066c706003083000000660f0116907c66b8200000000f22e066b8"
    "001000000f22d866b9800000c00f32660d000100000f300f20c0660d01000080"
    "0f22c0ea687c0800b980969800ffc975fc66ba040666b8002066eff4ebfd6690"
    "000000000000000000000000009a20000f00807c00000000"
)
SECTOR = CODE.ljust(510, b"\0") + b"\x55\xaa"
DEADLINE = 5.0
# Other kernels, other firmware: a verdict is good for a day.
MAX_AGE = 24 * 3600.0
PREFIX = "kollalab-probe-"
NOWHERE = "it makes a machine, which gets nowhere"


def accelerator(host: LibvirtHost, storage: Storage, cache: Path) -> str:
    """`kvm` where it runs a guest, else `qemu`, which emulates."""
    return "kvm" if kvm_trouble(host, storage, cache) is None else "qemu"


def kvm_trouble(host: LibvirtHost, storage: Storage, cache: Path) -> str | None:
    """Why KVM cannot be used there; None when it can. A guest is run once a day.

    Raises HostError when there is no libvirt.
    """
    said = host.connection.getCapabilities()
    if "<domain type='kvm'" not in said:
        return "libvirt offers no KVM there"
    path = cache / "libvirt" / f"kvm-{digest(host.uri, said, SECTOR.hex())}.json"
    known = verdict(path, time.time())
    if known is not None:
        return known or None
    trouble = run_guest(host, storage, "kvm", cache)
    # What is refused at once, as for a missing permission, may be mended at any moment.
    if trouble is None or trouble.startswith(NOWHERE):
        remember(path, trouble or "", time.time())
    return trouble


def remember(path: Path, trouble: str, now: float) -> None:
    """Keep a verdict in a file, and remove those beside it that are too old to say anything."""
    files.write(path, json.dumps({"trouble": trouble, "time": now}) + "\n")
    for other in path.parent.glob("kvm-*.json"):
        if verdict(other, now) is None:
            other.unlink(missing_ok=True)


def verdict(path: Path, now: float) -> str | None:
    """What the file says: the trouble, empty when there is none; None when it says nothing."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return str(table["trouble"]) if 0 <= now - float(table["time"]) < MAX_AGE else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_guest(host: LibvirtHost, storage: Storage, kind: str, cache: Path) -> str | None:
    """Run the guest; why it did not come to its end, or None when it did."""
    import libvirt

    name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
    try:
        with temporary.scratch(cache / "libvirt", "probe") as scratch:
            sector = Path(scratch) / "sector"
            sector.write_bytes(SECTOR)
            disk = storage.upload(name, sector, "raw")
        # It has no tag of a lab and needs none: it ends with this connection.
        domain = host.connection.createXML(
            xml.probe_xml(name, kind, disk), libvirt.VIR_DOMAIN_START_AUTODESTROY
        )
        try:
            until(
                "the guest switches itself off",
                lambda: host.domain(name) is None or None,
                timeout=DEADLINE,
                interval=0.1,
            )
        except WaitError:
            domain.destroy()
            return f"{NOWHERE} within {DEADLINE:.0f} s"
    except libvirt.libvirtError as error:
        return f"it makes no machine: {error}"
    except KollalabError as error:
        return f"it could not be tried: {error.brief}: {error.details}"
    finally:
        storage.remove(name)
    return None
