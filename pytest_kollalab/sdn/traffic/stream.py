"""Streams: what a watch sends, from where to where, and through which functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Target, address_of
from pytest_kollalab.system.errors import ConfigError

KINDS = ("ping", "udp", "tcp")

# One function, or several of which each packet crosses one.
Crossed = Probe | Sequence[Probe]


@dataclass(frozen=True, eq=False)
class TrafficStream:
    """A stream of packets, made by `TrafficWatch.ping`, `udp` or `tcp`.

    Attributes:
        kind: `ping`, `udp` or `tcp`.
        src: The probe that sends.
        dst: The probe that receives; for pings also a server or an address.
        to: The address that packets are sent to.
        port: The port that they are sent to; 0 lets the watch choose one. Not for pings.
        name: Its name in figures, pictures and errors.
        through: The functions that each packet must cross: for each step, those of which one sees
            it.
        symmetric: Whether the answers to pings must cross them as well.
    """

    kind: str
    src: Probe
    dst: Target
    to: str
    port: int
    name: str
    through: tuple[tuple[Probe, ...], ...] = ()
    symmetric: bool = False

    def __repr__(self) -> str:
        return f"TrafficStream({self.name})"

    @property
    def receiver(self) -> Probe | None:
        """The probe that receives, None if the target is none."""
        return self.dst if isinstance(self.dst, Probe) else None


def stream(
    kind: str,
    src: Probe,
    dst: Target,
    *,
    to: str | None = None,
    port: int = 0,
    through: Iterable[Crossed] = (),
    symmetric: bool = False,
    name: str | None = None,
) -> TrafficStream:
    """A stream; its arguments are those of `TrafficStream`, with defaults.

    Raises:
        ConfigError: UDP or TCP to what is no probe, where nobody would receive it.
    """
    if kind != "ping" and not isinstance(dst, Probe):
        raise ConfigError(
            f"a {kind} stream to {address_of(dst)} has no receiver",
            hint="its target is a probe; its address may be another one: `to`",
        )
    there = dst.name if isinstance(dst, Probe) else address_of(dst)
    if to is not None and to != address_of(dst):
        there += f" at {to}"
    steps = tuple((step,) if isinstance(step, Probe) else tuple(step) for step in through)
    return TrafficStream(
        kind,
        src,
        dst,
        to or address_of(dst),
        port,
        name or f"{kind} {src.name} to {there}",
        steps,
        symmetric,
    )
