"""The templates for CI systems: valid for their systems, and true to what they call."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_kollalab.cli import main
from pytest_kollalab.settings.config import Config, Invocation, Options
from pytest_kollalab.settings.declare import plain_settings

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
GITHUB = CI / "github" / "scenarios.yml"
GITLAB = CI / "gitlab" / ".gitlab-ci.yml"
ZUUL = CI / "zuul" / "zuul.yaml"
PLAYBOOKS = sorted((CI / "zuul" / "playbooks").glob("*.yaml"))
FILES = [GITHUB, GITLAB, ZUUL, *PLAYBOOKS]

# Vendored with check-jsonschema: nothing is fetched.
SCHEMAS = [
    (GITHUB, "vendor.github-workflows"),
    (GITHUB, "custom.github-workflows-require-timeout"),
    (GITLAB, "vendor.gitlab-ci"),
]
JOB_ATTRIBUTES = set(
    "name abstract description parent timeout post-timeout attempts nodeset vars "
    "pre-run run post-run".split()
)
TASK_KEYWORDS = set(
    "name become environment when register changed_when failed_when delegate_to".split()
)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_all_templates_are_looked_at() -> None:
    found = {path for path in CI.rglob("*") if path.suffix in (".yml", ".yaml")}
    assert found == set(FILES)


@pytest.mark.parametrize(("path", "schema"), SCHEMAS, ids=lambda value: str(value)[-30:])
def test_a_template_fits_the_schema_of_its_system(path: Path, schema: str) -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_template_calls_exists(path: Path) -> None:
    text = path.read_text()
    known = {each.flag for each in plain_settings(Invocation, Config, Options).values()}
    assert set(re.findall(r"--kollalab-[\w-]+", text)) <= known
    for called in re.findall(r'kollalab\)?"? (down|doctor|up)((?: --?\w+(?: "[^"]*")?)*)', text):
        command = main.commands[called[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--\w+", called[1])) <= known


def shell_lines(path: Path) -> Iterator[str]:
    document = load(path)
    if path == GITHUB:
        for step in document["jobs"]["scenarios"]["steps"]:
            if "run" in step:
                yield step["run"]
    elif path == GITLAB:
        job = document["scenarios"]
        yield from (*job["before_script"], *job["script"], *job["after_script"])


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=lambda path: path.name)
def test_a_shell_reads_every_line(path: Path) -> None:
    lines = list(shell_lines(path))
    assert len(lines) > 4
    for line in lines:
        subprocess.run(["bash", "-n"], input=line, text=True, check=True)


def packages() -> Iterator[str]:
    for path in (GITHUB, GITLAB):
        for line in shell_lines(path):
            if found := re.search(r"apt-get install ([^&\n]*(?:\\\n[^\n]*)*)", line):
                yield from re.findall(r"(?<!-)\b[a-z][\w.-]+", re.sub(r"--\S+", "", found[1]))
    for task in load(CI / "zuul" / "playbooks" / "pre.yaml")[0]["tasks"]:
        named = task.get("ansible.builtin.apt", {}).get("name", [])
        yield from [named] if isinstance(named, str) else named


def test_packages_are_those_of_the_bootstrap() -> None:
    known = re.search(r"readonly DEBIAN=\(([^)]*)\)", (ROOT / "bootstrap").read_text())
    assert known is not None
    wanted = set(packages())
    assert {"mmdebstrap", "busybox-static", "docker.io", "docker-cli", "patch"} <= wanted
    assert wanted <= {*known[1].split(), "docker-cli"}


def test_every_system_keeps_the_cache_and_hands_over_junit_and_artifacts() -> None:
    steps = load(GITHUB)["jobs"]["scenarios"]["steps"]
    used = {step["uses"].split("@")[0]: step for step in steps if "uses" in step}
    assert used["actions/cache/restore"]["with"]["path"] == ".kollalab-cache"
    assert used["actions/cache/save"]["with"]["path"] == ".kollalab-cache"
    assert used["actions/upload-artifact"]["with"]["path"] == "artifacts/"
    assert used["actions/upload-artifact"]["if"] == "always()"
    job = load(GITLAB)["scenarios"]
    assert job["cache"]["paths"] == [".kollalab-cache/"]
    assert job["variables"]["KOLLALAB_CACHE"].endswith("/.kollalab-cache")
    assert job["artifacts"]["reports"]["junit"] == "artifacts/junit.xml"
    assert job["artifacts"]["when"] == "always"
    for path in FILES:
        # Keys and passwords are the lab's own, for as long as it lives.
        assert "path: .kollalab-state" not in path.read_text()
        assert "- .kollalab-state" not in path.read_text()


def test_zuul_jobs_stand_on_each_other_and_on_playbooks_that_exist() -> None:
    document = load(ZUUL)
    jobs = {item["job"]["name"]: item["job"] for item in document if "job" in item}
    (project,) = (item["project"] for item in document if "project" in item)
    for job in jobs.values():
        assert set(job) <= JOB_ATTRIBUTES
        assert job.get("parent", "kollalab-base") in jobs
        for phase in ("pre-run", "run", "post-run"):
            assert phase not in job or (ZUUL.parent / job[phase]).is_file()
    for pipeline in project.values():
        assert set(pipeline["jobs"]) <= {name for name in jobs if not jobs[name].get("abstract")}


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.name)
def test_every_task_has_a_name_and_one_module(path: Path) -> None:
    for play in load(path):
        assert set(play) == {"name", "hosts", "tasks"}
        for task in play["tasks"]:
            (module,) = set(task) - TASK_KEYWORDS
            assert task["name"]
            assert module == "zuul_return" or module.startswith("ansible.builtin.")


def test_variables_of_the_playbooks_are_said_by_the_jobs() -> None:
    jobs = [item["job"] for item in load(ZUUL) if "job" in item]
    said = {name for job in jobs for name in job.get("vars", {})}
    for path in PLAYBOOKS:
        text = path.read_text()
        registered = set(re.findall(r"register: (\w+)", text))
        used = set(re.findall(r"\bkollalab_\w+", text)) - registered
        assert used <= said | {"kollalab_cache_url"}, path
