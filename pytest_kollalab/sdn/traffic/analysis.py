"""The analysis of a stream: what was lost, late, doubled, out of order, or around its functions.

Nothing here compares the clocks of two nodes. A silence is measured by the clock of who receives,
and what the sender itself was late is measured by its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from pytest_kollalab.sdn.traffic.happenings import Happening

# Seconds that packets may come later than those before them.
RESOLUTION = 0.025
# Seconds between two packets around a function that belong to one span.
TOGETHER = 1.0


@dataclass(frozen=True)
class Recorded:
    """What the ends of a stream recorded of it.

    Attributes:
        sent: When each packet was sent, in nanoseconds of the sender's clock, by its number.
        arrived: Number and time of each packet that arrived, in nanoseconds of the receiver's
            clock, in the order in which they arrived. For pings, of each answer.
        first: The number of the first packet that counts.
        seen: For each step of functions, the numbers of packets that came to it.
        passed_on: For each step, the numbers of packets that left it.
        answered: For each step, the numbers of packets whose answers came to it.
        got: The numbers of packets that the target got, if it is known of more than those answered.
        refused: How many the sender's own kernel refused.
        broken: How often a connection broke.
    """

    sent: Sequence[int]
    arrived: Sequence[tuple[int, int]]
    first: int = 0
    seen: Sequence[frozenset[int]] = ()
    passed_on: Sequence[frozenset[int]] = ()
    answered: Sequence[frozenset[int]] = ()
    got: frozenset[int] = frozenset()
    refused: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Gap:
    """A time in which nothing of a stream arrived, or was lost.

    Attributes:
        began: When the last packet before it arrived, in seconds since 1970 of this host's clock.
        seconds: How long until the next one arrived.
        least: The seconds between sending the first and the last lost packet: the disturbance took
            at least so long.
        lost: How many packets were lost. 0 if they came late.
        is_open: Whether it had not ended when the watch did; `seconds` is what there was of it.
        names: What happened then, in order of time.
    """

    began: float
    seconds: float
    least: float
    lost: int
    is_open: bool = False
    names: tuple[Happening, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.span}: {self.named}"

    @property
    def span(self) -> str:
        """How long it took and what was lost, as text."""
        what = f"{self.lost} lost" if self.lost else "late"
        so_far = " so far" if self.is_open else ""
        return f"{self.seconds:.2f} s{so_far} ({what})"

    @property
    def named(self) -> str:
        """What happened then, as text."""
        return "; ".join(str(each) for each in self.names) or "nothing was seen to happen then"

    @property
    def ended(self) -> float:
        """When it ended, in seconds since 1970."""
        return self.began + self.seconds


@dataclass(frozen=True)
class Crossing:
    """What a step of functions saw of a stream.

    Attributes:
        name: The names of its functions.
        saw: How many packets came to it.
        passed_on: How many left it.
        bypassed: How many packets the target got that did not come to it.
        unanswered: How many answers came back that did not come to it, if they should.
    """

    name: str
    saw: int
    passed_on: int
    bypassed: int
    unanswered: int = 0


@dataclass(frozen=True)
class BypassSpan:
    """A time in which packets went around a function; `began` is in seconds since 1970."""

    began: float
    seconds: float
    packets: int


@dataclass(frozen=True)
class StreamPhase:
    """What of the result of a stream began in a phase of its watch.

    Attributes:
        lost: How many packets were lost in gaps that began in the phase.
        longest: The seconds of the longest of these gaps, also where it ended after the phase.
        bypassed: How many packets the target got in the phase that went around functions.
        is_open: Whether a gap that began in the phase, or before, went on at its end.
    """

    lost: int
    longest: float
    bypassed: int
    is_open: bool


@dataclass(frozen=True)
class StreamResult:
    """What happened to a stream.

    Attributes:
        name: The stream's name.
        kind: `ping`, `udp` or `tcp`.
        sent: How many packets were sent.
        received: How many of them arrived; of pings, how many were answered.
        lost: How many did not.
        refused: How many of the lost the sender's own kernel refused, such as without a route.
        duplicated: How many arrived once more.
        reordered: How many arrived after one with a higher number (RFC 4737).
        broken: How often a TCP connection broke.
        bypassed: How many packets the target got although a step of functions did not see them.
        gaps: The gaps, in order of time.
        crossings: What each step of functions saw.
        around: When the target got each packet that went around a function, in seconds since 1970
            and in order; of pings without an answer it is not known.
        paused: The longest time between two packets that were sent, in seconds. What is shorter
            cannot be seen.
        round_trip: Shortest, median and longest round trip of pings in seconds; None for others.
    """

    name: str
    kind: str
    sent: int
    received: int
    lost: int
    refused: int = 0
    duplicated: int = 0
    reordered: int = 0
    broken: int = 0
    bypassed: int = 0
    gaps: tuple[Gap, ...] = ()
    around: tuple[float, ...] = field(default=(), repr=False)
    crossings: tuple[Crossing, ...] = ()
    paused: float = 0.0
    round_trip: tuple[float, float, float] | None = None

    def __str__(self) -> str:
        words = [f"{self.sent} sent", f"{self.lost} lost", f"longest gap {self.longest:.2f} s"]
        words += [f"{self.duplicated} duplicated"] if self.duplicated else []
        words += [f"{self.reordered} reordered"] if self.reordered else []
        words += [f"connection broken {self.broken} times"] if self.broken else []
        words += [f"{self.bypassed} bypassed"] if self.crossings else []
        return f"{self.name}: {', '.join(words)}"

    @property
    def longest(self) -> float:
        """The seconds of the longest gap; 0 without any."""
        return max((gap.seconds for gap in self.gaps), default=0.0)

    @property
    def bypasses(self) -> tuple[BypassSpan, ...]:
        """When packets went around functions, in order of time."""
        return tuple(_spans(self.around))

    @property
    def outage(self) -> float:
        """The seconds of all gaps in which packets were lost, together."""
        return sum(gap.seconds for gap in self.gaps if gap.lost)

    def between(self, began: float, ended: float) -> StreamPhase:
        """What began in a span of time.

        Args:
            began: The beginning of the span, in seconds since 1970.
            ended: Its end.
        """
        gaps = [gap for gap in self.gaps if began <= gap.began < ended]
        return StreamPhase(
            lost=sum(gap.lost for gap in gaps),
            longest=max((gap.seconds for gap in gaps), default=0.0),
            bypassed=sum(began <= moment < ended for moment in self.around),
            is_open=any(
                gap.began < ended and (gap.is_open or gap.ended >= ended) for gap in self.gaps
            ),
        )


def analyse(
    name: str,
    kind: str,
    recorded: Recorded,
    *,
    epoch: float = 0.0,
    sent_epoch: float = 0.0,
    interval: float = 0.02,
    steps: Sequence[str] = (),
    symmetric: bool = False,
) -> StreamResult:
    """What happened to a stream.

    Args:
        name: The stream's name.
        kind: `ping`, `udp` or `tcp`.
        recorded: What its ends recorded.
        epoch: When the receiver's clock was 0, in seconds since 1970 of this host's clock.
        sent_epoch: When the sender's clock was 0.
        interval: Seconds between packets.
        steps: The names of the steps of functions.
        symmetric: Whether answers must have come to them as well.
    """
    sent, first = recorded.sent, recorded.first
    times: dict[int, int] = {}
    duplicated = 0
    for number, when in recorded.arrived:
        if not first <= number < len(sent):
            continue
        if number in times:
            duplicated += 1
        else:
            times[number] = when
    lost = [number for number in range(first, len(sent)) if number not in times]
    got = {number for number in recorded.got if first <= number < len(sent)} | set(times)
    crossings, around = _crossings(steps, recorded, got, set(times), symmetric=symmetric)
    trips = [(when - sent[number]) / 1e9 for number, when in times.items()]
    gaps = [*_gaps(sent, times, set(lost), epoch, interval, first)]
    if lost and not times:
        # Nothing arrived at all, so there is no time of the receiver.
        silence = (sent[-1] - sent[first]) / 1e9
        gaps = [_gap(sent, sent[first], silence, lost, sent_epoch, is_open=True)]
    pauses = [(after - before) / 1e9 for before, after in pairwise(sent[first:])]
    return StreamResult(
        name,
        kind,
        sent=len(sent) - first,
        received=len(times),
        lost=len(lost),
        refused=recorded.refused,
        duplicated=duplicated,
        reordered=_reordered(times),
        broken=recorded.broken,
        bypassed=len(around),
        gaps=tuple(gaps),
        around=tuple(sorted(epoch + times[number] / 1e9 for number in around if number in times)),
        crossings=crossings,
        paused=max(pauses, default=0.0),
        round_trip=(min(trips), median(trips), max(trips)) if kind == "ping" and trips else None,
    )


def _reordered(times: Mapping[int, int]) -> int:
    newest = -1
    count = 0
    for number in times:
        count += number < newest
        newest = max(newest, number)
    return count


def _gaps(
    sent: Sequence[int],
    times: Mapping[int, int],
    lost: set[int],
    epoch: float,
    interval: float,
    first: int,
) -> Iterator[Gap]:
    """The silences between arrivals in which packets were lost, or came late."""
    newest, before = first - 1, None
    for number, when in times.items():
        missing = [each for each in range(newest + 1, number) if each in lost]
        if before is not None:
            silence = (when - times[before]) / 1e9
            # What the sender was late itself is no gap.
            meant = max((sent[number] - sent[before]) / 1e9, interval)
            if missing or silence - meant > RESOLUTION:
                yield _gap(sent, times[before], silence, missing, epoch)
        elif missing:
            # Nothing had arrived before: as seen from the sender.
            silence = (sent[number] - sent[first]) / 1e9
            yield _gap(sent, when - round(silence * 1e9), silence, missing, epoch)
        newest, before = max(newest, number), number
    missing = [each for each in range(newest + 1, len(sent)) if each in lost]
    if missing and before is not None:
        silence = (sent[-1] - sent[before]) / 1e9
        yield _gap(sent, times[before], silence, missing, epoch, is_open=True)


def _gap(
    sent: Sequence[int],
    began: int,
    silence: float,
    missing: Sequence[int],
    epoch: float,
    *,
    is_open: bool = False,
) -> Gap:
    least = (sent[missing[-1]] - sent[missing[0]]) / 1e9 if missing else 0.0
    return Gap(epoch + began / 1e9, silence, least, len(missing), is_open)


def _crossings(
    steps: Sequence[str],
    recorded: Recorded,
    got: set[int],
    answered: set[int],
    *,
    symmetric: bool,
) -> tuple[tuple[Crossing, ...], set[int]]:
    """What each step saw, and the numbers of all packets that went around one."""
    found, around = [], set[int]()
    for at, name in enumerate(steps):
        came = recorded.seen[at]
        past = got - came
        back = answered - recorded.answered[at] if symmetric else set()
        around |= past | back
        counted = [
            len({number for number in numbers if recorded.first <= number < len(recorded.sent)})
            for numbers in (came, recorded.passed_on[at])
        ]
        found.append(Crossing(name, counted[0], counted[1], len(past), len(back)))
    return tuple(found), around


def _spans(moments: Sequence[float]) -> Iterator[BypassSpan]:
    """The spans of time that packets around a function make, from their times in order."""
    start = 0
    for at in range(1, len(moments) + 1):
        if at == len(moments) or moments[at] - moments[at - 1] > TOGETHER:
            yield BypassSpan(moments[start], moments[at - 1] - moments[start], at - start)
            start = at
