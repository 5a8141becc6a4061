"""The libvirt host: the connection to it, what has our tag there, and how to reach its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pytest_kollalab.engine.owners import Owner, Ownership
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.base import Problem
from pytest_kollalab.providers.libvirt.xml import tag_in
from pytest_kollalab.providers.remote import Remote, is_here
from pytest_kollalab.settings.config import Options
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import HostError, StageError

if TYPE_CHECKING:
    import libvirt

DEFAULT = "qemu:///system"
# The command that installs what machines need.
BOOTSTRAP = "kollalab bootstrap --provider libvirt"
# A daemon that runs answers within a second.
TIMEOUT = 10
KEEPALIVE = (5, 6)


def uri_of(options: Options) -> str:
    """The libvirt that the options name; empty for this host's."""
    named = options.provider == "libvirt" or not daemon.is_endpoint(options.provider_uri)
    return options.provider_uri if named else ""


def remote(uri: str) -> Remote | None:
    """The host that a URI leads to over SSH; None for this host."""
    parts = urlsplit(uri)
    if "+" not in parts.scheme or not parts.hostname or is_here(parts.hostname):
        return None
    asked = parse_qs(parts.query)
    user = f"{parts.username}@" if parts.username else ""
    return Remote(
        f"{user}{parts.hostname}",
        parts.port,
        asked.get("keyfile", [""])[0],
        asked.get("command", ["ssh"])[0],
    )


class LibvirtHost:
    """The libvirt daemon that a URI names.

    `ownership` tells the labs that are asked for from others of the same name; without it, all are
    found.
    """

    def __init__(self, uri: str, ownership: Ownership | None = None) -> None:
        self.uri = uri or DEFAULT
        self.ownership = ownership

    @cached_property
    def connection(self) -> libvirt.virConnect:
        """The connection. Raises HostError when there is no daemon, or not for us."""
        try:
            import libvirt
        except ImportError as error:
            raise HostError(
                "libvirt-python is not installed",
                details=str(error),
                hint=f"pip install libvirt-python; it is compiled with what `{BOOTSTRAP}` installs",
            ) from error
        # Errors are raised; without this they are printed as well.
        libvirt.registerErrorHandler(_silent, None)
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            raise HostError(
                f"libvirt cannot be used at {self.uri}",
                details=str(error),
                hint=way_out(self.uri, str(error)),
            ) from error

    def problems(self) -> list[Problem]:
        """What the host lacks for machines."""
        try:
            kinds = self.connection.getCapabilities()
        except HostError as error:
            return [Problem(f"{error.brief}: {error.details}", error.hint)]
        if "<domain type='qemu'" not in kinds:
            return [Problem(f"libvirt at {self.uri} has no QEMU", f"run `{BOOTSTRAP}` there")]
        return []

    def domains(self, lab: str | None = None) -> Iterator[tuple[Tag, libvirt.virDomain]]:
        """The machines that carry our tag: all, or those of a lab."""
        return self._tagged(self.connection.listAllDomains(), lab)

    def networks(self, lab: str | None = None) -> Iterator[tuple[Tag, libvirt.virNetwork]]:
        """The networks that carry our tag: all, or those of a lab."""
        return self._tagged(self.connection.listAllNetworks(), lab)

    def owners(self, lab: str) -> list[Owner]:
        """Who has a lab of that name here, by its machines and networks."""
        things = (*self.connection.listAllDomains(), *self.connection.listAllNetworks())
        tags = [tag for tag, _ in self._tagged(list(things), None) if tag.lab == lab]
        return self.ownership.owners(tag.labels() for tag in tags) if self.ownership else []

    def is_shared(self, lab: str) -> bool:
        """Whether another lab of that name has machines or networks here."""
        return any(not owner.mine for owner in self.owners(lab))

    def domain(self, name: str) -> libvirt.virDomain | None:
        """The machine of that name, whoever made it."""
        return self._found(lambda: self.connection.lookupByName(name))

    def network(self, name: str) -> libvirt.virNetwork | None:
        """The network of that name, whoever made it."""
        return self._found(lambda: self.connection.networkLookupByName(name))

    @contextmanager
    def doing(self, what: str, hint: str = "") -> Iterator[None]:
        """Have what libvirt refuses shown as a message: `what` could not be done, and why."""
        import libvirt

        try:
            yield
        except libvirt.libvirtError as error:
            raise StageError(
                f"libvirt could not {what}",
                details=str(error),
                hint=hint or "see the daemon's own log, then run again: what was made is removed",
            ) from error

    def _tagged(self, things: list[Any], lab: str | None) -> Iterator[tuple[Tag, Any]]:
        import libvirt

        for thing in things:
            try:
                tag = tag_in(thing.XMLDesc())
            except libvirt.libvirtError:
                continue  # gone since it was listed
            if tag is None or lab not in (None, tag.lab):
                continue
            if lab is None or not self._is_elsewhere(tag):
                yield tag, thing

    def _is_elsewhere(self, tag: Tag) -> bool:
        return self.ownership is not None and self.ownership.is_others(tag.labels())

    def _found(self, look: Callable[[], Any]) -> Any:
        import libvirt

        try:
            return look()
        except libvirt.libvirtError as error:
            missing = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK)
            if error.get_error_code() in missing:
                return None
            raise


def way_out(uri: str, said: str) -> str:
    """What to do when libvirt cannot be reached."""
    if "ermission denied" in said or "authentication" in said.lower():
        if "+" in urlsplit(uri).scheme:
            return f"make `virsh --connect {uri} uri` work first: its user needs libvirt there"
        return "run as root, or as a member of the group libvirt: usermod --append --groups libvirt"
    if "+" in urlsplit(uri).scheme:
        return f"make `virsh --connect {uri} uri` work first"
    return f"run `{BOOTSTRAP}`: it installs libvirt and starts its daemon"


def _silent(_context: object, _error: object) -> None:
    """Print nothing."""
