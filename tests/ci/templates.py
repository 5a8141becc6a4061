"""The templates of examples/ci as what their systems run: scripts, their environment, playbooks."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

import yaml

CI = Path(__file__).parents[2] / "examples" / "ci"
GITHUB = CI / "github" / "scenarios.yml"
GITLAB = CI / "gitlab" / ".gitlab-ci.yml"
ZUUL = CI / "zuul" / "zuul.yaml"
PLAYBOOKS = CI / "zuul" / "playbooks"
SYSTEMS = ("github", "gitlab", "zuul")
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


@dataclass(frozen=True)
class Script:
    """What a system runs in one shell.

    Attributes:
        name: What the system calls it.
        lines: Commands for bash.
        always: Whether it runs after a failure, too.
    """

    name: str
    lines: tuple[str, ...]
    always: bool = False

    def text(self, environment: Mapping[str, str], folder: PurePosixPath) -> str:
        """The script with its environment. It ends at the first failure and shows its lines."""
        said = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        shown = [
            part
            for line in self.lines
            for part in (f"printf '$ %s\\n' {shlex.quote(line.strip())} >&2", line)
        ]
        return "\n".join(["set -eo pipefail", *said, f"cd {folder}", *shown, ""])


@dataclass(frozen=True)
class Job:
    """A job of a template for one release.

    Attributes:
        cache: The folder `KOLLALAB_CACHE`.
        environment: The variables of all scripts.
        scripts: In their order.
        kept: The folders and files that the system keeps for the next job, or hands over.
        files: What the scripts need beside the project: path in the project -> text.
    """

    cache: str
    environment: Mapping[str, str]
    scripts: tuple[Script, ...]
    kept: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def load(path: Path) -> Any:
    """The document of a template."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def releases(system: str) -> list[str]:
    """The releases that a template runs the scenarios on."""
    if system == "github":
        return list(load(GITHUB)["jobs"]["scenarios"]["strategy"]["matrix"]["release"])
    if system == "gitlab":
        return [row["KOLLALAB_RELEASE"] for row in load(GITLAB)["scenarios"]["parallel"]["matrix"]]
    jobs = zuul_jobs()
    (project,) = (item["project"] for item in load(ZUUL) if "project" in item)
    concrete = {name for pipeline in project.values() for name in pipeline["jobs"]}
    return sorted({str(inherited(jobs, name)["vars"]["kollalab_release"]) for name in concrete})


def job(system: str, release: str, project: PurePosixPath) -> Job:
    """The job of a system for a release, as it runs in the folder of a project."""
    made = {"github": _github, "gitlab": _gitlab, "zuul": _zuul}
    return made[system](release, project)


def _github(release: str, project: PurePosixPath) -> Job:
    document = load(GITHUB)["jobs"]["scenarios"]
    known = {"github.workspace": str(project), "matrix.release": release}

    def put(text: str) -> str:
        # An expression that is not known here is an error, as a template with a new one is.
        return EXPRESSION.sub(lambda found: known[found[1]], text)

    scripts = tuple(
        Script(step["name"], (put(step["run"]),), step.get("if") == "always()")
        for step in document["steps"]
        if "run" in step
    )
    used = [step for step in document["steps"] if "path" in step.get("with", {})]
    kept = dict.fromkeys(step["with"]["path"].rstrip("/") for step in used)
    said = {name: put(text) for name, text in document["env"].items()}
    return Job(said["KOLLALAB_CACHE"], said, scripts, tuple(kept))


def gitlab_job(name: str) -> dict[str, Any]:
    """A job of GitLab with what it extends. Variables are joined, all else is replaced."""
    document = load(GITLAB)
    own: dict[str, Any] = document[name]
    if "extends" not in own:
        return dict(own)
    base = gitlab_job(own["extends"])
    variables = base.get("variables", {}) | own.get("variables", {})
    return base | own | {"variables": variables}


def _gitlab(release: str, project: PurePosixPath) -> Job:
    told = gitlab_job("scenarios")
    # Also of a release that is not in the matrix: the row that the comment there adds.
    known = {
        "KOLLALAB_RELEASE": release,
        "SERIES": release.replace(".", "-"),
        "CI": "true",
        "CI_PROJECT_DIR": str(project),
        "CI_CONCURRENT_ID": "0",
        "CI_COMMIT_REF_SLUG": "main",
        "CI_DEFAULT_BRANCH": "main",
    }
    said = {name: Template(text).substitute(known) for name, text in told["variables"].items()}
    kept = [*told.get("cache", {}).get("paths", ()), *told["artifacts"]["paths"]]
    # `before_script` and `script` share a shell.
    scripts = (
        Script("script", (*told["before_script"], *told["script"])),
        Script("after_script", tuple(told["after_script"]), always=True),
    )
    there = tuple(path.rstrip("/") for path in kept)
    return Job(said["KOLLALAB_CACHE"], known | said, scripts, there)


def zuul_jobs() -> dict[str, dict[str, Any]]:
    """The jobs of Zuul by their names."""
    return {item["job"]["name"]: item["job"] for item in load(ZUUL) if "job" in item}


def inherited(jobs: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """A job of Zuul with what its parents say. Variables are joined, all else is replaced."""
    own = jobs[name]
    if own.get("parent") not in jobs:
        return dict(own)
    base = inherited(jobs, own["parent"])
    return base | own | {"vars": base.get("vars", {}) | own.get("vars", {})}


# Zuul's own module, which only an executor has: it gives what it is told to the executor.
ZUUL_RETURN = """\
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"data": {"type": "dict", "required": True}})
module.exit_json(changed=False, data=module.params["data"])
"""


def _zuul(release: str, project: PurePosixPath) -> Job:
    told = inherited(zuul_jobs(), f"kollalab-smoke-{release}")
    source = project.relative_to(project.parent)
    variables = told["vars"] | {"zuul": {"project": {"src_dir": str(source)}}}
    files = {f"zuul/playbooks/{path.name}": path.read_text() for path in PLAYBOOKS.glob("*.yaml")}
    host = "lab ansible_connection=local ansible_python_interpreter=/usr/bin/python3"
    files |= {
        "zuul/inventory": f"{host}\n",
        "zuul/vars.json": json.dumps(variables),
        "zuul/library/zuul_return.py": ZUUL_RETURN,
    }
    argv = "ansible-playbook -i zuul/inventory -M zuul/library -e @zuul/vars.json"
    phases = {"pre-run": False, "run": False, "post-run": True}
    scripts = tuple(
        Script(phase, (f"{argv} zuul/{told[phase]}",), always) for phase, always in phases.items()
    )
    cache = str(variables["kollalab_cache"])
    return Job(cache, {"ANSIBLE_NOCOLOR": "1"}, scripts, ("artifacts",), files)
