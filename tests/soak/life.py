"""The life of one lab under the command line: each verb, now and then killed in the middle."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.census import Trail, take
from tests.crash.tools import KOLLALAB

# A whole deploy beside another one, with room for a busy host.
TIMEOUT = 3600.0
# The share of steps that are ended in the middle, and how.
ENDED = 0.4
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM,
           signal.SIGHUP)  # fmt: skip
# What a step took at first, in seconds, until this run has seen it take something.
USUAL = {"up": 200.0, "session": 40.0, "save": 20.0, "rollback": 50.0, "down": 10.0}
# The probes of a chain, and networks by which a state of the cloud is known.
TESTS = """\
import os


def names(cloud):
    return {network.name for network in cloud.network.networks()}


def test_state(openstack_cloud):
    there = {name for name in names(openstack_cloud) if name.startswith("mark-")}
    assert there == set(os.environ["SOAK_NETWORKS"].split())


def test_change(openstack_cloud):
    openstack_cloud.network.create_network(name=os.environ["SOAK_NEW"])


def test_traffic(tenant, sfc):
    network = tenant.network(dhcp=False)
    source, target, function = tenant.probe(network), tenant.probe(network), sfc.function(network)
    with sfc.chain(source, target, through=[function]):
        assert sfc.path(source, target) == [function]
    assert sfc.path(source, target) == []
"""


@dataclass(frozen=True)
class Step:
    """What was done: its verb, seconds since the start, how long it took and how it ended."""

    lab: str
    what: str
    at: float
    seconds: float
    ended: str

    def __str__(self) -> str:
        return f"{self.at:6.0f} s  {self.lab}  {self.what:<18} {self.seconds:6.1f} s  {self.ended}"


@dataclass
class Life:
    """Takes one lab through its verbs until the time is over, and knows what must be there.

    A step that is ended in the middle is done again, and has to end well then. `networks` are in
    the cloud by now, `saved` were there when a state was saved.
    """

    name: str
    folder: Path
    state: Path
    until: float
    steps: list[Step]
    random: random.Random
    began: float = field(default_factory=time.monotonic)
    networks: set[str] = field(default_factory=set)
    saved: dict[str, set[str]] = field(default_factory=dict)
    trail: Trail = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.trail = Trail(f"kollalab.lab={self.name}", (self.state / "labs" / self.name,))
        self.folder.mkdir(parents=True)
        (self.folder / "test_soak.py").write_text(TESTS)
        (self.folder / "kollalab.toml").write_text('features = ["sfc"]\n')

    def live(self) -> None:
        """Round after round; the lab is there only within a round."""
        while time.monotonic() < self.until:
            self.up()
            for _ in range(self.random.randint(1, 3)):
                self.round()
            self.down()

    def round(self) -> None:
        """Change something, save it, change more, go back, and look whether that has gone."""
        self.session()
        state = f"state-{self.made}"
        self.step("save", state, again=("--yes",))
        self.saved[state] = set(self.networks)
        self.session()
        self.check_saved()
        back = self.random.choice(sorted(self.saved))
        self.step("rollback", back)
        self.networks = set(self.saved[back])
        self.session()

    def up(self) -> None:
        """Bring the lab up, which is empty then."""
        self.step("up")
        self.networks, self.saved = set(), {}

    def session(self) -> None:
        """Look at the state of the cloud and its traffic, and change something."""
        self.made += 1
        new = f"mark-{self.made}"
        environment = {"SOAK_NETWORKS": " ".join(sorted(self.networks)), "SOAK_NEW": new}
        self.step("session", "-k", "traffic", environment=environment)
        # What changes the cloud is not ended: whether it has happened would be a guess.
        self.run("session", ("-k", "not traffic"), environment)
        self.networks.add(new)

    def down(self) -> None:
        """Remove the lab; nothing of it is left."""
        take(self.trail)
        self.step("down", "--discard-saved")
        left = {kind: number for kind, number in take(self.trail).items() if number}
        assert not left, f"{self.name}: left after down: {left}"

    def check_saved(self) -> None:
        """Every state that was saved is still listed."""
        said = self.run("show")
        listed = set(re.findall(r"^ *saved +(\S+)", said, re.MULTILINE))
        assert set(self.saved) <= listed, f"{self.name}: lost {set(self.saved) - listed}\n{said}"

    def step(
        self,
        verb: str,
        *words: str,
        again: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """Run a verb. Now and then it is ended in the middle first, and done again."""
        if self.random.random() < ENDED:
            took = [s.seconds for s in self.steps if s.what.split()[0] == verb and s.ended == "ok"]
            after = self.random.uniform(0, took[-1] if took else USUAL[verb])
            self.run(verb, words, environment, end=(self.random.choice(SIGNALS), after))
            words = (*words, *again)
        self.run(verb, words, environment)

    def run(
        self,
        verb: str,
        words: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        end: tuple[signal.Signals, float] | None = None,
    ) -> str:
        """Run one process, which ends well if it is not ended; returns what it said."""
        log = self.folder / f"{len(list(self.folder.glob('*.log'))):03}-{verb}.log"
        began = time.monotonic()
        with log.open("wb") as sink:
            process = subprocess.Popen(
                self.argv(verb, words),
                cwd=self.folder,
                env={**os.environ, "KOLLALAB_STATE": str(self.state), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(end[1] if end else TIMEOUT)
            except subprocess.TimeoutExpired:
                if end is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    raise
                self.trail.pids.append(process.pid)
                take(self.trail)
                self.kill(process.pid, end[0])
                code = process.wait(TIMEOUT)
            else:
                end = None
        said = log.read_text(errors="replace")
        ended = "ok" if code == 0 else f"{end[0].name if end else 'itself'}: exit code {code}"
        what = " ".join((verb, *words))
        now = time.monotonic()
        self.steps.append(Step(self.name, what, began - self.began, now - began, ended))
        print(self.steps[-1], flush=True)
        assert end is not None or code == 0, f"{self.name}: {what}: {code}\n{said[-8000:]}"
        assert "Traceback" not in said, f"{self.name}: {what}\n{said[-8000:]}"
        return said

    def kill(self, pid: int, kind: signal.Signals) -> None:
        """End a process alone, as `kill` does, or with its children, as a terminal does."""
        if self.random.random() < 0.5:
            os.kill(pid, kind)
        else:
            os.killpg(pid, kind)

    def argv(self, verb: str, words: tuple[str, ...]) -> list[str | Path]:
        """The command line of a step."""
        if verb == "session":
            own = ("--kollalab-name", self.name, "--kollalab-keep", "always")
            return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own, *words]
        return [KOLLALAB, verb, "--name", self.name, *words]
