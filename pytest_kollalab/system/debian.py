"""The base image: a minimal Debian made by mmdebstrap, with a digest of its inputs as its tag."""

from __future__ import annotations

import hashlib
import io
import shlex
import tarfile
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.system import daemon, temporary
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from docker import DockerClient

# The label of every image that is built here, by which they are found.
LABEL = "kollalab.stage"
LABELS = {LABEL: "images"}
REPOSITORY = "kollalab/debian"
VERSION = 2
MIRROR_TIMEOUT = 20.0
# Where the package debian-archive-keyring has Debian's keys. Ubuntu's apt does not trust them.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
EXTRA_CAS = Path("/usr/local/share/ca-certificates")
PACKAGES = ("adduser", "ca-certificates")
APT_OPTIONS = (
    'APT::Install-Recommends "false"',
    'APT::Install-Suggests "false"',
    'Acquire::Languages "none"',
    # The lists stay in the image, so that the images built on it need not fetch them again.
    'Acquire::GzipIndexes "true"',
    'Acquire::Retries "3"',
)
DPKG_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/man/*",
)


def describe(suite: str, mirror: str) -> dict[str, Any]:
    """The inputs of the base image, as JSON. Certificate authorities are given by their digest."""
    cas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in extra_cas()]
    return {
        "version": VERSION,
        "suite": suite,
        # It is in sources.list, for the images that are built on this one.
        "mirror": mirror.rstrip("/"),
        "packages": list(PACKAGES),
        "apt": list(APT_OPTIONS),
        "dpkg": list(DPKG_OPTIONS),
        "certificate_authorities": sorted(cas),
    }


def extra_cas() -> list[Path]:
    """The certificate authorities that the host's administrator added."""
    return sorted(EXTRA_CAS.rglob("*.crt")) if EXTRA_CAS.is_dir() else []


def tag(suite: str, mirror: str) -> str:
    """The tag of the base image in `REPOSITORY`."""
    return digest(describe(suite, mirror))


def reference(suite: str, mirror: str) -> str:
    """The name of the base image."""
    return f"{REPOSITORY}:{tag(suite, mirror)}"


def ensure(client: DockerClient, suite: str, mirror: str, work: Path, log: Path) -> str:
    """Build the base image if it does not exist, and return its name.

    Args:
        client: The docker daemon.
        suite: The Debian suite.
        mirror: The URL of the Debian mirror.
        work: A folder for temporary files.
        log: The log file of mmdebstrap.

    Raises:
        StageError: The mirror cannot be used, or mmdebstrap failed.
    """
    from docker.errors import ImageNotFound

    name = reference(suite, mirror)
    try:
        client.images.get(name)
    except ImageNotFound:
        pass
    else:
        return name
    check_mirror(suite, mirror)
    with temporary.scratch(work, "base") as folder:
        extra, rootfs = Path(folder) / "extra.tar", Path(folder) / "rootfs.tar"
        extra.write_bytes(extra_tar(extra_cas()))
        try:
            run(mmdebstrap(suite, mirror, extra, rootfs), log_file=log)
            labels = [f"--change=LABEL {key}={value}" for key, value in LABELS.items()]
            daemon.resolve().run(["import", *labels, rootfs, name], log_file=log)
        except CommandError as error:
            raise StageError(
                "the base image could not be made",
                details=error.details,
                hint=f"is the Debian mirror {mirror} reachable? "
                "Another one is named with `mirror` under [run] in kollalab.toml",
                log=log,
            ) from error
    return name


def check_mirror(suite: str, mirror: str) -> None:
    """Check that the mirror answers and has the suite.

    This comes first because apt waits minutes for each file of a mirror that does not answer.

    Raises:
        StageError: The mirror cannot be used.
    """
    url = f"{mirror.rstrip('/')}/dists/{suite}/InRelease"
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=MIRROR_TIMEOUT):
            return
    except (OSError, ValueError) as error:
        # Some mirrors refuse HEAD requests. apt will find out whether such a mirror works.
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if error.code != HTTPStatus.NOT_FOUND:
                return
        raise StageError(
            f"the Debian mirror {mirror} cannot be used",
            details=f"{url}: {error}",
            hint="check the network and proxies, or name another `mirror` under [run] in "
            "kollalab.toml",
        ) from error


def mmdebstrap(suite: str, mirror: str, extra: Path, target: Path) -> list[str]:
    """The command that makes the root file system as a tar archive."""
    return [
        "mmdebstrap",
        "--variant=minbase",
        *keyring(),
        "--format=tar",
        f"--include={','.join(PACKAGES)}",
        "--skip=cleanup/apt/lists",
        *(f"--aptopt={option}" for option in APT_OPTIONS),
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        f"--customize-hook=tar-in {shlex.quote(str(extra))} /",
        '--customize-hook=chroot "$1" update-ca-certificates',
        '--customize-hook=rm -f "$1"/etc/resolv.conf "$1"/etc/hostname',
        suite,
        str(target),
        *apt_sources(suite, mirror),
    ]


def keyring() -> list[str]:
    """The option of mmdebstrap that has apt trust Debian's keys on distributions that do not.

    The keys in the host's `trusted.gpg.d`, for mirrors of one's own, are trusted too.
    """
    return [f"--keyring={KEYRING}"] if KEYRING.is_file() else []


def apt_sources(suite: str, mirror: str) -> list[str]:
    """The lines of sources.list. Security updates are at the mirror's URL with `-security`."""
    mirror = mirror.rstrip("/")
    return [
        f"deb {mirror} {suite} main",
        f"deb {mirror} {suite}-updates main",
        f"deb {mirror}-security {suite}-security main",
    ]


def extra_tar(cas: list[Path]) -> bytes:
    """A tar archive of certificate authorities for the root file system, all owned by root."""
    content = {f"{EXTRA_CAS}/{path.name}".lstrip("/"): path.read_bytes() for path in cas}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in sorted(content.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
