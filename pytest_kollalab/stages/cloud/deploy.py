"""Runs Kolla-Ansible's playbooks through ansible-runner."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_kollalab.stages.cloud.events import PlayProgress
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.environment import of_children
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.run import MASK, mask

# Ansible's default strategy, which starts a new Python process for every module.
LINEAR = "linear"
STRATEGY = Path(__file__).parent / "strategy" / "kollalab_linear.py"
# Seconds until Mitogen's Python runs on a node. On a busy emulated node, Ansible's default of ten
# is not enough.
CONNECT_TIMEOUT = 120
SHOWN_FAILURES = 3
# Seconds until ansible-runner notices that it should stop.
POLL = 1
# In bytes. Every event passes through a file, and larger results do not help a reader.
LARGEST_RESULT = 20_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Deployment:
    """The folders and settings of a lab's deploy.

    Attributes:
        venv: The virtual environment with Ansible.
        playbooks: The folder of the playbooks.
        etc: The folder with the input of Kolla-Ansible.
        folder: The folder for files of the deploy itself.
        strategy: Ansible's strategy for runs that name none.
        secrets: Texts to mask in logs and errors.
        direct: Addresses and networks of the lab, which must be reached without a proxy.
    """

    venv: Path
    playbooks: Path
    etc: Path
    folder: Path
    strategy: str = STRATEGY.stem
    secrets: tuple[str, ...] = field(default=(), repr=False)
    direct: tuple[str, ...] = ()

    @property
    def inventory(self) -> Path:
        return self.etc / "inventory"


def ansible_cfg(ssh_config: Path) -> str:
    """The text of ansible.cfg, made for speed and independent of the host's own Ansible."""
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
ssh_args = -F {shlex.quote(str(ssh_config))}
retries = 2
"""


def stock_ansible_cfg(ssh_config: Path) -> str:
    """The ansible.cfg of Kolla-Ansible's quick start guide, with SSH access to the nodes."""
    return (
        "[defaults]\nhost_key_checking = False\npipelining = True\nforks = 100\n"
        "interpreter_python = /usr/bin/python3\n"
        f"[ssh_connection]\nssh_args = -F {shlex.quote(str(ssh_config))}\n"
    )


@dataclass(frozen=True)
class Run:
    """One call of ansible-playbook.

    Attributes:
        name: A name for files.
        action: The action of Kolla-Ansible, for example `deploy`.
        playbooks: The playbooks, relative to the folder of the deployment's playbooks.
        tags: Run only roles with these tags.
        skip_tags: Do not run roles with these tags.
        strategy: Ansible's strategy, if it is not the deployment's.
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
    """The arguments of `ansible-playbook`, as the command kolla-ansible would pass them."""
    words = ["-i", str(site.inventory)]
    words += ["-e", f"@{site.etc / 'globals.yml'}", "-e", f"@{site.etc / 'passwords.yml'}"]
    # As JSON, because Ansible would split `name=value` at spaces.
    words += ["-e", json.dumps({"kolla_action": run.action, "CONFIG_DIR": str(site.etc)})]
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
    """Run playbooks to their end. After any exception, Ansible has ended as well.

    Args:
        site: The deployment.
        run: The playbooks, with action and tags.
        progress: Receives the events of the run.
        log: The file for Ansible's output, with secrets masked.
        say: Called with each line of progress.
        stop: Set this to end the run early.

    Raises:
        StageError: A task failed. The details name its host and message.
    """
    private = site.folder / "runner" / run.name
    shutil.rmtree(private, ignore_errors=True)
    files.private(private)
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
    """Write the duration of every task of these runs as JSON."""
    rows = [
        {"run": name, **asdict(timing)}
        for name, progress in runs.items()
        for timing in progress.timings
    ]
    files.write(path, json.dumps(rows) + "\n")


class _Redacted:
    """A text file in which secrets are masked."""

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
    """Passes the events of one run to the log, to the progress and to the user."""

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
        return False  # Tells ansible-runner not to keep a file of the event.


def _go(
    site: Deployment,
    private: Path,
    words: Sequence[str],
    reader: _Reader,
    stop: threading.Event,
    strategy: str,
) -> str:
    from ansible_runner.interface import init_runner

    environment = _environment(site) | {"ANSIBLE_STRATEGY": strategy}
    runner = init_runner(
        private_data_dir=str(private),
        ident="run",
        binary=str(site.venv / "bin" / "ansible-playbook"),
        cmdline=shlex.join(words),
        project_dir=str(site.playbooks),
        fact_cache=str(site.folder / "facts"),
        envvars=environment,
        settings={"pexpect_timeout": POLL, "suppress_output_file": True},
        quiet=True,
        event_handler=reader,
        cancel_callback=stop.is_set,
    )
    # It also passes on the whole environment of this process.
    runner.config.env = _without_inherited(runner.config.env, environment)
    # Run it in a thread, so that Ctrl-C interrupts this function and not the reading of output.
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except BaseException:
        stop.set()
        thread.join()
        raise
    return str(runner.status)


def _without_inherited(found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """What ansible-runner made of an environment, without what it took from this process."""
    return {
        name: value
        for name, value in found.items()
        if name in wanted or os.environ.get(name) != value
    }


def _environment(site: Deployment) -> dict[str, str]:
    return {
        **of_children(site.direct),
        "ANSIBLE_CONFIG": str(site.etc / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections(site.venv)),
        "ANSIBLE_HOME": str(site.folder / "ansible"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        # ansible-runner adds its own values to those that it finds here.
        "ANSIBLE_CALLBACK_PLUGINS": "",
        "ANSIBLE_STDOUT_CALLBACK": "",
        "ANSIBLE_NOCOLOR": "1",
        "MAX_EVENT_RES": str(LARGEST_RESULT),
        # The playbooks call other commands of Ansible by name.
        "PATH": f"{site.venv / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
    }


def collections(venv: Path) -> Path:
    """The folder of the Ansible collections in a virtual environment.

    Raises:
        StageError: The folder is not a virtual environment.
    """
    found = sorted(venv.glob("lib/python3*/site-packages"))
    if not found:
        raise StageError(f"{venv} is not a virtual environment", hint="kollalab up --fresh tools")
    return found[0]
