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

from pytest_kollalab import state
from pytest_kollalab.cloud.events import Progress
from pytest_kollalab.errors import StageError
from pytest_kollalab.run import MASK

SHOWN_FAILURES = 3
# What ansible-runner itself and the callback may take to notice a cancel, in seconds.
POLL = 1
# Results that are larger are of no use to a reader, and every event passes through a file.
LARGEST_RESULT = 20_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Site:
    """Where a lab's deploy lives: tools, playbooks, inputs and the folder for its own files."""

    venv: Path
    playbooks: Path
    etc: Path
    folder: Path
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def inventory(self) -> Path:
        return self.etc / "inventory"


def ansible_cfg(ssh_config: Path) -> str:
    """The text of ansible.cfg: quick, and reading nothing of the host's own Ansible."""
    return f"""\
[defaults]
forks = 20
gathering = smart
fact_caching_timeout = 0
interpreter_python = /usr/bin/python3
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


def arguments(etc: Path, extra: Mapping[str, str], tags: Sequence[str] = ()) -> list[str]:
    """What follows `ansible-playbook` besides inventory and playbooks, as kolla-ansible says it."""
    words = ["-e", f"@{etc / 'globals.yml'}", "-e", f"@{etc / 'passwords.yml'}"]
    for name, value in extra.items():
        words += ["-e", f"{name}={value}"]
    words += ["-e", f"CONFIG_DIR={etc}"]
    if tags:
        words += ["--tags", ",".join(tags)]
    return words


def play(
    site: Site,
    name: str,
    playbooks: Sequence[str],
    *,
    extra: Mapping[str, str],
    tags: Sequence[str] = (),
    log: Path,
    say: Callable[[str], None],
    what: str,
) -> Progress:
    """Run playbooks to their end. `name` is for files, `what` for people ("the deploy").

    Progress goes to `say`, everything that Ansible prints to `log`, seconds per task to
    `<name>-tasks.json` in the site's folder. Raises StageError with host, task and message of
    what failed. Ctrl-C ends Ansible before it leaves here.
    """
    progress = Progress()
    run = _Run(progress, say)
    private = site.folder / "runner" / name
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(parents=True, mode=0o700)
    words = arguments(site.etc, extra, tags)
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"# {what}: ansible-playbook {' '.join([*words, *playbooks])}\n")
        run.sink = _Redacted(sink, site.secrets)
        try:
            status = run.go(site, private, words, playbooks)
        finally:
            _save_timings(site.folder / f"{name}-tasks.json", progress)
            shutil.rmtree(private, ignore_errors=True)
    if status != "successful":
        raise StageError(
            f"{what} failed",
            details="\n".join(str(f) for f in progress.failures[:SHOWN_FAILURES])
            or f"ansible-playbook ended as {status}: {run.last}",
            hint="read the log; the next run goes on from here",
            log=log,
        )
    return progress


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


class _Run:
    """One run of ansible-runner, in a thread so that Ctrl-C reaches us and not it."""

    def __init__(self, progress: Progress, say: Callable[[str], None]) -> None:
        self.progress = progress
        self.sink: _Redacted | None = None
        self.last = ""
        self._say = say
        self._cancelled = threading.Event()

    def go(self, site: Site, private: Path, words: list[str], playbooks: Sequence[str]) -> str:
        import ansible_runner

        folder = site.playbooks
        binary = site.venv / "bin" / "ansible-playbook"
        line = [*words, "-i", str(site.inventory), *(str(folder / name) for name in playbooks)]
        thread, runner = ansible_runner.run_async(
            private_data_dir=str(private),
            ident="run",
            binary=str(binary),
            cmdline=shlex.join(line),
            project_dir=str(folder),
            fact_cache=str(site.folder / "facts"),
            envvars=_environment(site),
            settings={"pexpect_timeout": POLL, "suppress_output_file": True},
            quiet=True,
            event_handler=self._on_event,
            cancel_callback=self._cancelled.is_set,
        )
        try:
            while thread.is_alive():
                thread.join(0.2)
        except BaseException:
            self._cancelled.set()
            thread.join()
            raise
        return str(runner.status)

    def _on_event(self, event: dict[str, Any]) -> bool:
        text = event.get("stdout") or ""
        if text and self.sink is not None:
            self.last = _COLOUR.sub("", text).strip() or self.last
            self.sink.write(f"{_COLOUR.sub('', text)}\n")
        line = self.progress.read(event)
        if line is not None:
            self._say(line)
        return False  # keeps no file of the event


def _environment(site: Site) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(site.etc / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(_collections(site.venv)),
        "ANSIBLE_HOME": str(site.folder / "ansible"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_NOCOLOR": "1",
        "MAX_EVENT_RES": str(LARGEST_RESULT),
        # The playbooks ask for ansible-playbook's siblings by name.
        "PATH": f"{site.venv / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
    }


def _collections(venv: Path) -> Path:
    found = sorted(venv.glob("lib/python3*/site-packages"))
    if not found:
        raise StageError(f"{venv} is no virtual environment", hint="kollalab up --fresh tools")
    return found[0]


def _save_timings(path: Path, progress: Progress) -> None:
    state.write(path, json.dumps([asdict(timing) for timing in progress.timings]) + "\n")
