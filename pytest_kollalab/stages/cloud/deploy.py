"""The deploy: Kolla-Ansible's playbooks run through ansible-runner."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_kollalab.stages.cloud.events import PlayProgress
from pytest_kollalab.system import files, process
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.run import MASK, mask

# The strategy of Ansible itself, which runs every module by a Python of its own.
LINEAR = "linear"
STRATEGY = Path(__file__).parent / "strategy" / "kollalab_linear.py"
# Seconds until Mitogen's Python is up on a node; on a busy emulated one that takes more than
# Ansible's ten.
CONNECT_TIMEOUT = 120
SHOWN_FAILURES = 3
# What ansible-runner may take to notice that it should stop, in seconds.
POLL = 1
# Results that are larger are of no use to a reader, and every event passes through a file.
LARGEST_RESULT = 20_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Deployment:
    """Where a lab's deploy lives: tools, playbooks, inputs and the folder for its own files.

    `strategy` is Ansible's strategy for runs that name none.
    """

    venv: Path
    playbooks: Path
    etc: Path
    folder: Path
    strategy: str = STRATEGY.stem
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def inventory(self) -> Path:
        return self.etc / "inventory"


def ansible_cfg(ssh_config: Path) -> str:
    """The text of ansible.cfg: quick, and reading nothing of the host's own Ansible."""
    return f"""\
[defaults]
forks = 20
timeout = {CONNECT_TIMEOUT}
gathering = smart
fact_caching_timeout = 0
interpreter_python = /usr/bin/python3
strategy = {STRATEGY.stem}
strategy_plugins = {STRATEGY.parent}
inject_facts_as_vars = False
deprecation_warnings = False
localhost_warning = False
retry_files_enabled = False
nocows = True

[inventory]
enable_plugins = ini

[ssh_connection]
pipelining = True
ssh_args = -F {ssh_config}
retries = 2
"""


def stock_ansible_cfg(ssh_config: Path) -> str:
    """What the quick start of Kolla-Ansible has one write, and the way to the nodes."""
    return (
        "[defaults]\nhost_key_checking = False\npipelining = True\nforks = 100\n"
        "interpreter_python = /usr/bin/python3\n"
        f"[ssh_connection]\nssh_args = -F {ssh_config}\n"
    )


@dataclass(frozen=True)
class Run:
    """One call of ansible-playbook: which playbooks, which action of Kolla-Ansible, which tags.

    `name` is for files; the text of a run is for people. `strategy` is Ansible's, where it is
    not the deployment's.
    """

    name: str
    action: str
    playbooks: tuple[str, ...] = ("site.yml",)
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    strategy: str = ""

    def __str__(self) -> str:
        return f"the deploy of {', '.join(self.tags)}" if self.tags else self.name


def arguments(site: Deployment, run: Run) -> list[str]:
    """What follows `ansible-playbook`, as the kolla-ansible command composes it."""
    words = ["-i", str(site.inventory)]
    words += ["-e", f"@{site.etc / 'globals.yml'}", "-e", f"@{site.etc / 'passwords.yml'}"]
    words += ["-e", f"kolla_action={run.action}", "-e", f"CONFIG_DIR={site.etc}"]
    if run.tags:
        words += ["--tags", ",".join(run.tags)]
    if run.skip_tags:
        words += ["--skip-tags", ",".join(run.skip_tags)]
    return [*words, *(str(site.playbooks / name) for name in run.playbooks)]


def play(
    site: Deployment,
    run: Run,
    progress: PlayProgress,
    *,
    log: Path,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Run playbooks to their end, reading their events into `progress`.

    Everything that Ansible prints goes to `log`, without secrets. `stop` ends the run early when
    it is set. Raises StageError with host, task and message of what failed. Whatever exception
    leaves here, Ansible has ended before.
    """
    private = site.folder / "runner" / run.name
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(parents=True, mode=0o700)
    point(f"cloud:{run.name}")
    words = arguments(site, run)
    try:
        with log.open("w", encoding="utf-8") as sink:
            sink.write(f"$ ansible-playbook {shlex.join(words)}\n")
            reader = _Reader(run.name, progress, _Redacted(sink, site.secrets), say)
            strategy = run.strategy or site.strategy
            status = _go(site, private, words, reader, stop or threading.Event(), strategy)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if status != "successful":
        raise StageError(
            f"{run} failed",
            details=mask(
                "\n".join(str(f) for f in progress.failures[:SHOWN_FAILURES])
                or f"ansible-playbook ended as {status}: {reader.last}",
                site.secrets,
            ),
            hint="the log tells more; the next run goes on from here",
            log=log,
        )


def save_timings(path: Path, runs: Mapping[str, PlayProgress]) -> None:
    """Write the seconds of every task of these runs, as JSON for who wants to know."""
    rows = [
        {"run": name, **asdict(timing)}
        for name, progress in runs.items()
        for timing in progress.timings
    ]
    files.write(path, json.dumps(rows) + "\n")


class _Redacted:
    """A text file that no secret gets into."""

    def __init__(self, sink: IO[str], secrets: Iterable[str]) -> None:
        self._sink = sink
        words = sorted((re.escape(word) for word in secrets if word), key=len, reverse=True)
        self._pattern = re.compile("|".join(words)) if words else None

    def write(self, text: str) -> None:
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        self._sink.write(text)
        self._sink.flush()


class _Reader:
    """Takes the events of one run: into the log, into the progress, a line to the user."""

    def __init__(
        self, name: str, progress: PlayProgress, sink: _Redacted, say: Callable[[str], None]
    ) -> None:
        self.name = name
        self.last = ""
        self._progress = progress
        self._sink = sink
        self._say = say

    def __call__(self, event: dict[str, Any]) -> bool:
        point(f"cloud:{self.name}-running")
        text = _COLOUR.sub("", event.get("stdout") or "")
        if text:
            self.last = text.strip() or self.last
            self._sink.write(f"{text}\n")
        line = self._progress.read(event)
        if line is not None:
            self._say(line)
        return False  # ansible-runner keeps no file of the event


def _go(
    site: Deployment,
    private: Path,
    words: Sequence[str],
    reader: _Reader,
    stop: threading.Event,
    strategy: str,
) -> str:
    import ansible_runner

    # In a thread of its own, so that Ctrl-C reaches us and not the reading of its output.
    thread, runner = ansible_runner.run_async(
        private_data_dir=str(private),
        ident="run",
        binary=str(site.venv / "bin" / "ansible-playbook"),
        cmdline=shlex.join(words),
        project_dir=str(site.playbooks),
        fact_cache=str(site.folder / "facts"),
        envvars=_environment(site) | {"ANSIBLE_STRATEGY": strategy},
        settings={"pexpect_timeout": POLL, "suppress_output_file": True},
        quiet=True,
        event_handler=reader,
        cancel_callback=stop.is_set,
    )
    try:
        while thread.is_alive():
            thread.join(0.2)
    except BaseException:
        stop.set()
        thread.join()
        raise
    return str(runner.status)


def _environment(site: Deployment) -> dict[str, str]:
    return {
        **process.environment(),
        "ANSIBLE_CONFIG": str(site.etc / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections(site.venv)),
        "ANSIBLE_HOME": str(site.folder / "ansible"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_NOCOLOR": "1",
        "MAX_EVENT_RES": str(LARGEST_RESULT),
        # The playbooks ask for ansible-playbook's siblings by name.
        "PATH": f"{site.venv / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
    }


def collections(venv: Path) -> Path:
    """Where the Ansible collections of a virtual environment are. Raises StageError."""
    found = sorted(venv.glob("lib/python3*/site-packages"))
    if not found:
        raise StageError(f"{venv} is no virtual environment", hint="kollalab up --fresh tools")
    return found[0]
