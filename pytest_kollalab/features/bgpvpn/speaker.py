"""The BGP speaker of a node: the bagpipe-bgp daemon and its API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn import dataplane, workarounds
from pytest_kollalab.sdn.ovs import agents
from pytest_kollalab.sdn.ovs.flows import bridge_flows
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import CommandError, WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

CONTAINER = "bagpipe_bgp"
# Neutron's agent looks for its flow in this table to find out whether the switch was restarted.
CANARY = 23
# -q ignores the configuration in Kolla's images, which makes curl print more than the answer.
CURL = ("curl", "-q", "-sS", "--fail-with-body")
API = "http://127.0.0.1:8082"
LOG = "/var/log/kolla/bagpipe-bgp/bagpipe-bgp.log"


@dataclass(frozen=True)
class Speaker:
    """The daemon on a node; `address` is the address of its tunnels and BGP sessions."""

    ssh: Ssh
    node: str
    address: str

    def look(self, path: str) -> Any:
        """The JSON document of the daemon's looking glass at a path. Raises CommandError."""
        return json.loads(self._curl(f"looking-glass/{path}"))

    def tell(self, verb: str, body: dict[str, Any]) -> None:
        """Call the daemon's API; `verb` is `attach_localport` or `detach_localport`."""
        self._curl(verb, json.dumps(body))

    def instances(self) -> dict[str, Any]:
        """The VPN instances, by their ids."""
        listed = self.look("vpns/instances")
        return {item["id"]: item for item in listed}

    def wait_forgotten(self, owner: str, timeout: float = 30) -> None:
        """Wait until no VPN instance has `owner`, such as a network's id, in its own id.

        Raises:
            WaitError: There is still one in time; the error lists them.
        """

        def look() -> bool | NotYet:
            left = [name for name in self.instances() if owner in name]
            return not left or NotYet(", ".join(left))

        wait.until(f"no instance of {owner} on {self.node}", look, timeout=timeout)

    @property
    def established(self) -> bool:
        """Whether its session with the reflector is up."""
        argv = ["docker", "exec", CONTAINER, *CURL, f"{API}/looking-glass/summary"]
        done = self.ssh.run(self.node, argv, check=False)
        return done.returncode == 0 and json.loads(done.stdout)["BGP_established_peers"] == 1

    def wait_established(self, timeout: float = 60, *, down: bool = False) -> None:
        """Wait until its session with the reflector is up (or, with `down`, is not).

        Raises:
            WaitError: It is not in time.
        """

        def look() -> bool | NotYet:
            return self.established is not down or NotYet("down" if not down else "established")

        what = "the end of the session" if down else "the session"
        wait.until(f"{what} of {self.node} with the reflector", look, timeout=timeout)

    def restart(self) -> None:
        """Restart the daemon, which loses all its state."""
        self._restart(CONTAINER)

    def restart_refused(self) -> None:
        """Restart the daemon after a peer has refused its AS number; this is a workaround.

        Raises:
            WorkaroundForbiddenError: Workarounds are forbidden in this run.
        """
        workarounds.use(workarounds.REFUSED_AS, f"the AS number of {self.node} was refused")
        self.restart()

    def kill(self) -> None:
        """Kill the daemon, as the kernel does when memory runs out."""
        argv = ["docker", "exec", CONTAINER, "pkill", "-KILL", "-f", "bin/bagpipe-bgp"]
        self.ssh.run(self.node, argv)

    def restart_switch(self) -> None:
        """Restart Open vSwitch: the node loses all flows and groups, and gets new devices."""
        self._restart("openvswitch_vswitchd")

    def await_agent(self, timeout: float = 30) -> None:
        """Wait until Neutron's agent has put its flows into a restarted switch.

        An agent that hangs is killed; this is a workaround.

        Raises:
            WorkaroundForbiddenError: The agent hangs and workarounds are forbidden.
            WaitError: The new agent does not do it either.
        """

        def look() -> bool | NotYet:
            try:
                found = bridge_flows(self.ssh, self.node).where(table=CANARY)
            except CommandError as error:
                return NotYet(error.brief)
            return bool(found) or NotYet("br-int has no flow of the agent")

        what = f"the agent of {self.node} to fill br-int"
        try:
            wait.until(what, look, timeout=workarounds.delay(timeout))
        except WaitError as error:
            workarounds.use(workarounds.AGENT_STUCK, f"{error.brief}; {error.details}")
            self.kill_agent()
            wait.until(what, look, timeout=2 * timeout)

    def kill_agent(self) -> None:
        """Kill Neutron's agent, which systemd starts again."""
        agents.kill(self.ssh, self.node, dataplane.OVS)

    def _restart(self, container: str) -> None:
        unit = f"kolla-{container}-container.service"
        self.ssh.run(self.node, ["systemctl", "restart", unit], timeout=120)

    def log_tail(self, lines: int = 400) -> str:
        """The end of the daemon's log."""
        return self.ssh.run(self.node, ["tail", "-n", str(lines), LOG]).stdout

    def _curl(self, path: str, body: str | None = None) -> str:
        argv = ["docker", "exec", "-i", CONTAINER, *CURL]
        if body is not None:
            argv += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        return self.ssh.run(self.node, [*argv, f"{API}/{path}"], input=body, timeout=60).stdout
