"""Virtual network functions of a tenant: packages, and operations that wait for their end."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.features.tacker import api, csar, etsi
from pytest_kollalab.features.tacker.csar import Vdu
from pytest_kollalab.features.tacker.operations import (
    COMPLETED,
    FAILED,
    FAILED_TEMP,
    ROLLED_BACK,
    Occurrence,
    healing,
    instantiation,
    occurrence,
    scaling,
    termination,
    vim,
)
from pytest_kollalab.features.tacker.vnf import Member, Vnf, VnfPackage
from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.tenant.project import CONTROLLER
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import KollalabError, WaitError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

__all__ = ["Member", "Occurrence", "OperationFailedError", "Tacker", "Vdu", "Vnf", "VnfPackage"]

# In seconds.
DEADLINE = 180
TAKEN_IN = 60
INTERVAL = 0.5
RELEASED_WITHIN = 20
# States of a package, and of its use.
TAKEN, NOT_TAKEN, IN_USE = "ONBOARDED", "CREATED", "IN_USE"
# The status of a stack that is gone.
DELETED = "DELETE_COMPLETE"
LOG = "/var/log/kolla/tacker/tacker-conductor.log"
# An error of the TOSCA parser is in a line of its own after one tab; its traceback has more tabs.
# The last line of any other traceback begins with the exception's full name.
PARSED = re.compile(r"^\t(\w+: .+)$", re.MULTILINE)
RAISED = re.compile(r" ERROR [\w.]+ ((?:\w+\.)+\w+: .+)$", re.MULTILINE)


class OperationFailedError(KollalabError):
    """An operation on a VNF ended in another state than it should. The details have its error."""


class Tacker:
    """Makes VNF packages and VNFs of a tenant, as the tenant's own user.

    Resources made inside `Tenant.part()` are removed when the block ends.

    Args:
        tenant: The project.
        cache: The folder for caches.
        image: The name of the image of servers.
        flavor: The name of the flavor of servers.
    """

    def __init__(self, tenant: Tenant, cache: Path, *, image: str, flavor: str) -> None:
        self.tenant = tenant
        self._cache = cache
        self._image = image
        self._flavor = flavor

    def package(self, *vdus: Vdu, changes: Mapping[str, str | None] | None = None) -> VnfPackage:
        """Make a package, and wait until Tacker has taken it in.

        Args:
            *vdus: The kinds of servers. They boot the lab's guest image if they name no other, and
                have the key pair of the tenant.
            changes: Text of files that replaces what is written otherwise, by path in the archive;
                None leaves a file out. This is for packages with mistakes.

        Raises:
            ConfigError: No package can be made of these kinds of servers.
            OperationFailedError: Tacker does not take the package; the details have its reason.
            TackerError: Tacker refuses a request.
            StageError: ETSI's type definitions cannot be had.
            WaitError: It has not been taken in in time.
        """
        descriptor = str(uuid.uuid4())
        contents = csar.files(
            descriptor,
            vdus,
            types=etsi.definitions(self._cache),
            image=self._image,
            flavor=self._flavor,
            key=self.tenant.keypair,
        )
        wanted = {**contents, **(changes or {})}
        packed = csar.archive({path: text for path, text in wanted.items() if text is not None})
        with uninterrupted():
            made = self._call("POST", api.PACKAGES, {}).json()["id"]
            self.tenant.undo.callback(self._discard, made)
        self._call("PUT", f"{api.PACKAGES}/{made}/package_content", packed)
        self._await_taken_in(made)
        return VnfPackage(made, descriptor, tuple(vdus))

    def discard(self, package: VnfPackage) -> None:
        """Delete a package that no VNF is made of; calling it again does nothing.

        Raises:
            TackerError: Tacker refuses the request.
        """
        self._discard(package.id)

    def create(self, package: VnfPackage) -> Vnf:
        """Create a VNF instance of a package; it has no servers before it is instantiated.

        Raises:
            TackerError: Tacker refuses the request.
        """
        with uninterrupted():
            made = self._call("POST", api.VNFS, {"vnfdId": package.descriptor}).json()["id"]
            vnf = Vnf(self.tenant, made, package)
            self.tenant.undo.callback(self.remove, vnf)
        return vnf

    def instantiate(
        self,
        vnf: Vnf,
        networks: Mapping[str, Network],
        *,
        servers: int = 1,
        fails: bool = False,
        within: float = DEADLINE,
    ) -> Occurrence:
        """Instantiate a VNF, and wait until its servers are there.

        Args:
            vnf: The VNF.
            networks: The network of each connection point.
            servers: The number of servers of each VDU that can have so many.
            fails: Whether it is expected to fail.
            within: Seconds that it may take.

        Returns:
            The occurrence of the operation, which has ended; with `fails`, the failed one.

        Raises:
            OperationFailedError: It fails, or does not although it should.
            TackerError: Tacker refuses the request.
            WaitError: It has not ended in time; the details have the last state.
        """
        vnf.networks = dict(networks)
        region = str(self.tenant.cloud.config.get_region_name())
        ids = {point: network.id for point, network in networks.items()}
        body = instantiation(ids, vim(self.tenant.login, region), servers)
        return self._operate(vnf, "instantiate", body, fails=fails, within=within)

    def deploy(
        self, *vdus: Vdu, networks: Mapping[str, Network], servers: int = 1, ready: bool = True
    ) -> Vnf:
        """Make a package and a VNF of it, and instantiate the VNF.

        Args:
            *vdus: The kinds of servers.
            networks: The network of each connection point.
            servers: The number of servers of each VDU that can have so many.
            ready: Whether to wait until all servers have booted as well.

        Raises:
            KollalabError: See `package`, `create` and `instantiate`.
        """
        vnf = self.create(self.package(*vdus))
        self.instantiate(vnf, networks, servers=servers)
        if ready:
            for member in vnf.members():
                member.server.await_ready()
        return vnf

    def scale(
        self, vnf: Vnf, vdu: str, steps: int, *, fails: bool = False, within: float = DEADLINE
    ) -> Occurrence:
        """Add servers to a VDU, or remove its youngest ones if `steps` is negative.

        The other arguments, the result and the errors are those of `instantiate`.
        """
        aspect = next((each.aspect for each in vnf.package.vdus if each.name == vdu), vdu)
        return self._operate(vnf, "scale", scaling(aspect, steps), fails=fails, within=within)

    def heal(
        self, vnf: Vnf, *members: Member, fails: bool = False, within: float = DEADLINE
    ) -> Occurrence:
        """Replace servers of a VNF by new ones with the same ports.

        The other arguments, the result and the errors are those of `instantiate`.
        """
        body = healing([member.id for member in members])
        return self._operate(vnf, "heal", body, fails=fails, within=within)

    def terminate(
        self, vnf: Vnf, *, graceful: bool = False, fails: bool = False, within: float = DEADLINE
    ) -> Occurrence:
        """Remove the servers and ports of a VNF; it can be instantiated again.

        With `graceful`, Tacker first waits for 10 s. The other arguments, the result and the errors
        are those of `instantiate`.
        """
        body = termination(graceful=graceful)
        return self._operate(vnf, "terminate", body, fails=fails, within=within)

    def begin(self, vnf: Vnf, verb: str, body: Mapping[str, Any]) -> str:
        """Request an operation without waiting for its end, and return its occurrence's id.

        Args:
            vnf: The VNF.
            verb: The operation as the API's path names it, such as `heal`.
            body: The body of the request.

        Raises:
            TackerError: Tacker refuses the request.
        """
        answer = self._call("POST", f"{vnf.path}/{verb}", body)
        return str(answer.headers["Location"]).rpartition("/")[2]

    def look(self, occurrence_id: str, *, seconds: float = 0.0) -> Occurrence:
        """The occurrence with an id as it is now. Raises TackerError."""
        answer = self._call("GET", f"{api.OCCURRENCES}/{occurrence_id}")
        return occurrence(answer.json(), seconds)

    def occurrences(self, vnf: Vnf) -> list[Occurrence]:
        """All operations on a VNF, the latest last. Raises TackerError."""
        query = f"?filter=(eq,vnfInstanceId,{vnf.id})"
        told = self._call("GET", f"{api.OCCURRENCES}{query}").json()
        return [occurrence(each) for each in sorted(told, key=lambda each: each["startTime"])]

    def await_end(
        self, occurrence_id: str, *, after: Occurrence | None = None, within: float = DEADLINE
    ) -> Occurrence:
        """Wait until an operation does not go on by itself.

        Args:
            occurrence_id: The id of its occurrence.
            after: The occurrence when it was told to go on, since Tacker begins later to do so.
            within: Seconds that it may take.

        Raises:
            WaitError: It has not ended in time; the details have the last state.
        """
        started = time.monotonic()

        def look() -> list[Occurrence] | NotYet:
            now = self.look(occurrence_id, seconds=time.monotonic() - started)
            still = after is not None and (now.state, now.since) == (after.state, after.since)
            # In a list, because an operation that failed is false.
            return [now] if now.has_ended and not still else NotYet(f"{now}, since {now.since}")

        (ended,) = wait.until(
            f"the operation {occurrence_id} to end",
            look,
            timeout=within * self.tenant.patience,
            interval=INTERVAL,
        )
        return ended

    def roll_back(self, failed: Occurrence, *, within: float = DEADLINE) -> Occurrence:
        """Undo a failed operation, and wait until that has ended.

        The VNF is then as it was before. Tacker can do so after instantiating and scaling out.

        Raises:
            OperationFailedError: It cannot be undone.
            TackerError: Tacker refuses the request.
            WaitError: It has not ended in time; the details have the last state.
        """
        # A list of occurrences tells times otherwise.
        before = self.look(failed.id)
        self._call("POST", f"{api.OCCURRENCES}/{failed.id}/rollback")
        ended = self.await_end(failed.id, after=before, within=within)
        return self._checked(ended, ROLLED_BACK)

    def give_up(self, failed: Occurrence) -> Occurrence:
        """Mark a failed operation as failed for good. What it has made stays.

        Raises:
            TackerError: Tacker refuses the request.
        """
        self._call("POST", f"{api.OCCURRENCES}/{failed.id}/fail")
        return self._checked(self.look(failed.id), FAILED)

    def stacks(self) -> list[Any]:
        """The stacks that the project has in Heat."""
        # Heat lists one that is just deleted for a moment longer.
        listed = self.tenant.cloud.orchestration.stacks()
        return [stack for stack in listed if stack.status != DELETED]

    def remove(self, vnf: Vnf) -> None:
        """Remove a VNF in whatever state it is; calling it again does nothing.

        Raises:
            OperationFailedError: Its servers cannot be removed.
            TackerError: Tacker refuses a request.
            WaitError: An operation has not ended in time.
        """
        if not vnf.describe():
            return
        for each in self.occurrences(vnf):
            now = each if each.has_ended else self.await_end(each.id)
            if now.state == FAILED_TEMP:
                self._clean_up(now)
        if vnf.is_instantiated():
            self.terminate(vnf)
        else:
            self._remove_stack(vnf.stack)
        self._call("DELETE", vnf.path, missing=True)
        self._await_released(vnf.package)

    def _await_released(self, package: VnfPackage) -> None:
        """Wait until a package can be deleted, unless there are other VNFs of it.

        Tacker answers first, and then notes that the package is no longer in use.
        """

        def look() -> bool | NotYet:
            found = self._call("GET", f"{api.PACKAGES}/{package.id}", missing=True)
            if found.status_code == api.NOT_FOUND or found.json()["usageState"] != IN_USE:
                return True
            others = f"{api.VNFS}?filter=(eq,vnfdId,{package.descriptor})"
            return bool(self._call("GET", others).json()) or NotYet("it is in use")

        what = f"the package {package.id} to be released"
        wait.until(what, look, timeout=RELEASED_WITHIN * self.tenant.patience)

    def _clean_up(self, failed: Occurrence) -> None:
        # Giving up leaves what an operation has made, such as ports that keep their networks.
        try:
            self.roll_back(failed)
        except OperationFailedError:
            # It can be neither undone nor, as it is, followed by another one.
            self.give_up(failed)

    def _remove_stack(self, name: str) -> None:
        """Remove what an operation that was given up has left in Heat, if there is any."""

        def found() -> list[Any]:
            return [stack for stack in self.stacks() if stack.name == name]

        for stack in found():
            self.tenant.cloud.orchestration.delete_stack(stack)

        def look() -> bool | NotYet:
            left = [f"{stack.status}: {stack.status_reason}" for stack in found()]
            return NotYet(", ".join(left)) if left else True

        wait.until(f"the stack {name} to be gone", look, timeout=DEADLINE * self.tenant.patience)

    def _operate(
        self, vnf: Vnf, verb: str, body: Mapping[str, Any], *, fails: bool, within: float
    ) -> Occurrence:
        started = time.monotonic()
        begun = self.begin(vnf, verb, body)
        try:
            ended = self.await_end(begun, within=within)
        except WaitError as error:
            raise WaitError(
                f"{verb} of a VNF: {error.brief}",
                details=error.details,
                hint="look at tacker-conductor.log and heat-engine.log on the controller",
            ) from error
        if not fails:
            figures.record(f"vnf: {verb}", time.monotonic() - started)
        return self._checked(ended, FAILED_TEMP if fails else COMPLETED)

    def _checked(self, ended: Occurrence, wanted: str) -> Occurrence:
        if ended.state != wanted:
            raise OperationFailedError(
                f"{ended.operation} of a VNF ended as {ended.state}, not as {wanted}",
                details=ended.error or "it has no error",
                hint="look at tacker-conductor.log and heat-engine.log on the controller",
            )
        return ended

    def _await_taken_in(self, package: str) -> None:
        def look() -> str | NotYet:
            state = str(self._call("GET", f"{api.PACKAGES}/{package}").json()["onboardingState"])
            # After an upload, the first state comes back only when the package is not taken.
            return state if state in (TAKEN, NOT_TAKEN) else NotYet(state)

        state = wait.until(
            f"Tacker to take in the package {package}",
            look,
            timeout=TAKEN_IN * self.tenant.patience,
            interval=INTERVAL,
        )
        if state == NOT_TAKEN:
            raise OperationFailedError(
                f"Tacker does not take the package {package}",
                details=self._reasons(package) or "its API tells no reason",
                hint="look at tacker-conductor.log on the controller",
            )

    def _reasons(self, package: str) -> str:
        """Why a package was not taken. The API does not say; in an external cloud nobody does."""
        if not self.tenant.has_nodes:
            return ""
        said = self.tenant.ssh.run(CONTROLLER, ["tail", "-n", "1000", LOG], check=False).stdout
        return reasons(said, package)

    def _discard(self, package: str) -> None:
        path = f"{api.PACKAGES}/{package}"
        answer = self._call("GET", path, missing=True)
        if answer.status_code == api.NOT_FOUND:
            return
        if answer.json()["operationalState"] == "ENABLED":
            self._call("PATCH", path, {"operationalState": "DISABLED"})
        self._call("DELETE", path)

    def _call(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        missing: bool = False,
    ) -> Any:
        return api.call(self.tenant.cloud, verb, path, body, missing=missing)


def reasons(log: str, package: str) -> str:
    """Why a package was not taken, from the log of Tacker's conductor; empty if it does not say."""
    about = log[log.find(package) :] if package in log else ""
    found = PARSED.findall(about) or RAISED.findall(about)[-1:]
    return "\n".join(dict.fromkeys(str(each).strip() for each in found))


def forwarding(network: Network) -> str:
    """A script by which a server with two cards passes on packets between them.

    Args:
        network: The network of both cards.
    """
    from pytest_kollalab.features.sfc.server import user_data

    return user_data("eth0", "eth1", network.cidr)
