"""Resolves the constraints of a release with the packages of its release day.

python -m pytest_kollalab.releases.constraints RELEASE

It writes them and prints what changed: against what they were, or, for a new release, against the
release before it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_kollalab.releases import pypi, releases
from pytest_kollalab.releases.releases import Release
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.run import run

# Projects that are pinned by hand may be newer than the release.
ANY_TIME = "2100-01-01T00:00:00Z"
IMAGES = Path("requirements", "upper-constraints.txt")
TOOLS = Path("tools.txt")
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def resolve(release: Release) -> list[Path]:
    """Write upper-constraints.txt and tools.txt of the release, and return their paths."""
    pinned = sorted(pinned_projects(release.data.glob("*.in")))
    images, tools = release.data / IMAGES, release.data / TOOLS
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
            (tools, "tools.in", ["--python-version", release.tools_python, "--universal"]),
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


def pins(path: Path) -> dict[str, str]:
    """The versions in a file of constraints, by project. Empty if there is no such file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return dict(PIN.findall(text))


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What is different in the new versions, a line for each project in the order of names."""
    found = []
    for project in sorted({*old, *new}):
        was, now = old.get(project), new.get(project)
        if was is None:
            found.append(f"{project} {now} is new")
        elif now is None:
            found.append(f"{project} {was} is gone")
        elif was != now:
            found.append(f"{project} {was} -> {now}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Resolve the named releases, or all, and print what changed."""
    try:
        for name in arguments or releases.RELEASES:
            release, former = releases.get(name), releases.before(name)
            known = {file: pins(release.data / file) for file in (IMAGES, TOOLS)}
            resolve(release)
            for file, old in known.items():
                since = "what it was"
                if not old and former is not None:
                    old, since = pins(former.data / file), former.name
                found = changes(old, pins(release.data / file))
                sys.stdout.write(f"{release.data / file}: {len(found)} changes from {since}\n")
                sys.stdout.writelines(f"  {line}\n" for line in found)
    except KollalabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
