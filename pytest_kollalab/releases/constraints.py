"""Resolves the constraints of a release with the packages of its release day."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_kollalab.releases import pypi, releases
from pytest_kollalab.releases.releases import Release
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.run import run

# Projects that are pinned by hand may be newer than the release.
ANY_TIME = "2100-01-01T00:00:00Z"


def resolve(release: Release) -> list[Path]:
    """Write upper-constraints.txt and tools.txt of the release, and return their paths."""
    pinned = sorted(pinned_projects(release.data.glob("*.in")))
    images = release.data / "requirements" / "upper-constraints.txt"
    tools = release.data / "tools.txt"
    with tempfile.TemporaryDirectory(prefix="kollalab-constraints-") as folder:
        run([sys.executable, "-m", "venv", folder])
        python = Path(folder) / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", pypi.UV])
        uv: list[str | Path] = [Path(folder) / "bin" / "uv", "pip", "compile", "--quiet"]
        uv += ["--upgrade", "--no-header", "--no-annotate", "--no-python-downloads"]
        uv += ["--exclude-newer", release.as_of]
        for project in pinned:
            uv += ["--exclude-newer-package", f"{project}={ANY_TIME}"]
        linux: list[str | Path] = ["--python-platform", "x86_64-unknown-linux-gnu"]
        # Packages that the images get from other sources or do not need.
        linux += ["--overrides", images.with_name("overrides.txt")]
        environment = pypi.configured(python).environment()
        for target, source, target_options in (
            (images, "requirements.in", ["--python-version", release.python, *linux]),
            (tools, "tools.in", ["--python-version", "3.11", "--universal"]),
        ):
            run(
                [*uv, *target_options, "--output-file", target, release.data / source],
                env=environment,
            )
    return [images, tools]


def pinned_projects(files: Iterable[Path]) -> set[str]:
    """The projects that requirements files pin to a version or a series."""
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = [line.partition("#")[0].strip() for line in lines]
    return {line.partition("==")[0].partition("[")[0] for line in wanted if "==" in line}


def main(arguments: Sequence[str]) -> int:
    """Resolve the named releases, or all."""
    try:
        for name in arguments or releases.RELEASES:
            for path in resolve(releases.get(name)):
                sys.stdout.write(f"{path}\n")
    except KollalabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
