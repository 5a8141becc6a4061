"""The templates for CI systems: valid for their systems, and true to what they call."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from pytest_kollalab.cli import main
from pytest_kollalab.releases.releases import RELEASES
from pytest_kollalab.settings.config import NAME, Config, Invocation, Options
from pytest_kollalab.settings.declare import plain_settings
from tests.ci import templates
from tests.ci.templates import CI, GITHUB, GITLAB, SYSTEMS, ZUUL, inherited, load, zuul_jobs

PROJECT = PurePosixPath("/builds/project")
MEASURED = CI.parents[1] / "docs" / "measured.toml"
PLAYBOOKS = sorted(templates.PLAYBOOKS.glob("*.yaml"))
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
    for called in re.findall(
        r'kollalab\)?"? (bootstrap|down|doctor|gc|up)((?: --?\w+(?: "[^"]*")?)*)', text
    ):
        command = main.commands[called[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--\w+", called[1])) <= known


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_shell_reads_every_script(system: str) -> None:
    scripts = templates.job(system, "2026.1", PROJECT).scripts
    assert scripts[-1].always
    for script in scripts:
        text = script.text({"A": "b c"}, PROJECT)
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_scenarios_run_on_every_release_on_which_all_were_seen(system: str) -> None:
    seen = tomllib.loads(MEASURED.read_text(encoding="utf-8"))["seen"]["releases"]
    assert templates.releases(system) == [each for each in seen if seen[each] == "all scenarios"]
    for release in RELEASES:
        job = templates.job(system, release, PROJECT)
        said = json.loads(job.files["zuul/vars.json"]) if system == "zuul" else {}
        told = said.get("kollalab_release") or job.environment["KOLLALAB_RELEASE"]
        assert told == release


def test_jobs_on_one_host_have_names_of_their_own() -> None:
    jobs = [templates.job("gitlab", release, PROJECT).environment for release in RELEASES]
    names = {job["KOLLALAB_NAME"] for job in jobs}
    assert len(names) == len(RELEASES)
    assert all(NAME.fullmatch(name) for name in names)


def test_the_bootstrap_installs_all_that_a_template_does_not() -> None:
    texts = "".join(path.read_text() for path in FILES)
    assert texts.count("kollalab bootstrap") + texts.count('kollalab)" bootstrap') == len(SYSTEMS)
    installed = re.findall(r"apt-get install(?: --\S+)* (.+)", texts)
    tasks = load(templates.PLAYBOOKS / "pre.yaml")[0]["tasks"]
    apt = [t["ansible.builtin.apt"]["name"] for t in tasks if "ansible.builtin.apt" in t]
    assert installed == ["git python3-venv"]
    assert apt == [["git", "python3-packaging", "python3-venv"]]


def test_every_system_keeps_the_cache_and_hands_over_junit_and_artifacts() -> None:
    steps = load(GITHUB)["jobs"]["scenarios"]["steps"]
    used = {step["uses"].split("@")[0]: step for step in steps if "uses" in step}
    assert used["actions/cache/restore"]["with"]["path"] == ".kollalab-cache"
    assert used["actions/cache/save"]["with"]["path"] == ".kollalab-cache"
    assert used["actions/upload-artifact"]["with"]["path"] == "artifacts/"
    assert used["actions/upload-artifact"]["if"] == "always()"
    goes = templates.gitlab_job(".host-that-goes")
    assert goes["cache"]["paths"] == [".kollalab-cache/"]
    assert goes["variables"]["KOLLALAB_CACHE"].endswith("/.kollalab-cache")
    assert "KOLLALAB_GOLDEN" not in goes["variables"]
    job = templates.gitlab_job("scenarios")
    # Outside of the folder that is cleaned for each job.
    assert not [n for n in ("CACHE", "STATE") if "$" in job["variables"][f"KOLLALAB_{n}"]]
    assert job["variables"]["KOLLALAB_GOLDEN"] == "keep"
    assert job["artifacts"]["reports"]["junit"] == "artifacts/junit.xml"
    assert job["artifacts"]["when"] == "always"
    for path in FILES:
        # Keys and passwords are the lab's own, for as long as it lives.
        assert "path: .kollalab-state" not in path.read_text()
        assert "- .kollalab-state" not in path.read_text()


def test_zuul_jobs_stand_on_each_other_and_on_playbooks_that_exist() -> None:
    jobs = zuul_jobs()
    (project,) = (item["project"] for item in load(ZUUL) if "project" in item)
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
        assert set(play) == {"name", "hosts", "environment", "tasks"}
        for task in play["tasks"]:
            (module,) = set(task) - TASK_KEYWORDS
            assert task["name"]
            assert module == "zuul_return" or module.startswith("ansible.builtin.")


def test_variables_of_the_playbooks_are_said_by_the_jobs() -> None:
    said = set(inherited(zuul_jobs(), "kollalab-smoke-2026.2")["vars"])
    for path in PLAYBOOKS:
        text = path.read_text()
        registered = set(re.findall(r"register: (\w+)", text))
        used = set(re.findall(r"\bkollalab_\w+", text)) - registered
        assert used <= said | {"kollalab_cache_url"}, path
