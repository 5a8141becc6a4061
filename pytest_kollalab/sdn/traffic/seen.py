"""What a watch has seen: the result of each stream, what happened, and both as JSON and picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_kollalab.sdn.traffic import happenings, picture
from pytest_kollalab.sdn.traffic.analysis import Gap, StreamPhase, StreamResult
from pytest_kollalab.sdn.traffic.happenings import NOTE, Happening
from pytest_kollalab.sdn.traffic.stream import TrafficStream
from pytest_kollalab.system.errors import KollalabError


@dataclass
class SeenTraffic(Mapping[TrafficStream, StreamResult]):
    """What was seen of streams; `seen[stream]` is complete when the block of the watch has ended.

    Attributes:
        began: When the block began, in seconds since 1970 of this host's clock.
        ended: When it ended; 0 before.
        interval: Seconds between the packets of a stream.
        results: The result of each stream.
        happenings: What happened, in order of time.
        problems: What makes the results less certain, as text.
        phases: When the phases of the block began and ended, in seconds since 1970, by their names.
        processor: The part of one processor that the watch took on all nodes together, without
            Open vSwitch itself; 0.05 is 5 %.
    """

    began: float
    interval: float
    flowing: Callable[[float], float] = field(repr=False)
    ended: float = 0.0
    results: dict[TrafficStream, StreamResult] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    processor: float = 0.0

    def __getitem__(self, stream: TrafficStream) -> StreamResult:
        self._complete()
        return self.results[stream]

    def __iter__(self) -> Iterator[TrafficStream]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __str__(self) -> str:
        lines = []
        for result in self.results.values():
            lines += [str(result), *(f"  {self.clock(gap.began)} {gap}" for gap in result.gaps)]
        return "\n".join([*lines, *self.problems])

    def note(self, text: str) -> None:
        """Note that something happens now; it names the gaps that begin then."""
        self.happenings.append(Happening(NOTE, "", time.time(), text))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase of the block: `seen.of(stream, name)` tells what began in it, and it names gaps.

        Args:
            name: A name that no other phase of the block has.
        """
        began = time.time()
        try:
            yield
        finally:
            ended = time.time()
            self.phases[name] = (began, ended)
            self.happenings.append(Happening(NOTE, "", began, name, ended - began))

    def of(self, stream: TrafficStream, phase: str) -> StreamPhase:
        """What of a stream's result began in a phase.

        Raises:
            KeyError: There was no such phase or stream.
            KollalabError: The block has not ended.
        """
        return self[stream].between(*self.phases[phase])

    def flows_again(self, within: float = 60) -> float:
        """Wait until a packet of each stream arrives that is sent from now on.

        Args:
            within: Seconds.

        Returns:
            The seconds that it took.

        Raises:
            WaitError: One does not arrive in time.
        """
        return self.flowing(within)

    def go_on(self, seconds: float) -> None:
        """Let the streams flow for some more seconds."""
        time.sleep(seconds)

    @property
    def longest(self) -> float:
        """The seconds of the longest gap of all streams."""
        self._complete()
        return max((result.longest for result in self.results.values()), default=0.0)

    @property
    def lost(self) -> int:
        """The packets that all streams lost."""
        self._complete()
        return sum(result.lost for result in self.results.values())

    @property
    def bypassed(self) -> int:
        """The packets of all streams that went around a function."""
        self._complete()
        return sum(result.bypassed for result in self.results.values())

    @property
    def gaps(self) -> list[tuple[StreamResult, Gap]]:
        """The gaps of all streams, in order of time."""
        self._complete()
        found = [(result, gap) for result in self.results.values() for gap in result.gaps]
        return sorted(found, key=lambda each: each[1].began)

    def clock(self, moment: float) -> str:
        """A time in seconds since 1970 as seconds since the block began."""
        return f"+{moment - self.began:.2f} s"

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON; times in seconds since 1970."""
        self._complete()
        return {
            "began": _iso(self.began),
            "ended": _iso(self.ended),
            "interval": self.interval,
            "processor": round(self.processor, 4),
            "problems": self.problems,
            "phases": {
                name: {"began": _iso(began), "ended": _iso(ended)}
                for name, (began, ended) in self.phases.items()
            },
            "streams": [
                _stream(stream, result, self.phases) for stream, result in self.results.items()
            ],
            "happenings": happenings.as_json(self.happenings),
        }

    def svg(self, title: str = "Traffic") -> str:
        """The picture: a lane for each stream, what happened, and the gaps with their names."""
        self._complete()
        return picture.svg(
            list(self.results.values()),
            self.happenings,
            self.began,
            self.ended,
            title=title,
            notes=self.problems,
        )

    def save(self, folder: Path, name: str = "watch", title: str = "Traffic") -> list[Path]:
        """Write JSON and picture into a folder, which is made if it is not there.

        Returns:
            The paths of both.
        """
        folder.mkdir(parents=True, exist_ok=True)
        text, drawing = folder / f"{name}.json", folder / f"{name}.svg"
        text.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
        drawing.write_text(self.svg(title), encoding="utf-8")
        return [text, drawing]

    def fill(self, results: Mapping[TrafficStream, StreamResult], ended: float) -> None:
        """Complete it: the watch gives the results when the block has ended."""
        self.happenings.sort(key=lambda each: each.time)
        self.results = {stream: named(each, self.happenings) for stream, each in results.items()}
        self.ended = ended

    def _complete(self) -> None:
        if not self.ended:
            raise KollalabError(
                "the watch goes on, so there is no result yet", hint="ask after its block has ended"
            )


def named(result: StreamResult, happened: Sequence[Happening]) -> StreamResult:
    """The result with the names of its gaps."""
    gaps = tuple(
        replace(gap, names=happenings.naming(happened, gap.began, gap.ended)) for gap in result.gaps
    )
    return replace(result, gaps=gaps)


def _stream(
    stream: TrafficStream, result: StreamResult, phases: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    return {
        "name": result.name,
        "kind": result.kind,
        "source": stream.src.name,
        "target": stream.to,
        **{
            word: getattr(result, word)
            for word in ("sent", "received", "lost", "refused", "duplicated", "reordered")
        },
        "broken": result.broken,
        "bypassed": result.bypassed,
        "longest": round(result.longest, 4),
        "outage": round(result.outage, 4),
        "paused": round(result.paused, 4),
        "round_trip": [round(each, 6) for each in result.round_trip or ()],
        "gaps": [
            {
                "began": round(gap.began, 4),
                "seconds": round(gap.seconds, 4),
                "least": round(gap.least, 4),
                "lost": gap.lost,
                "open": gap.is_open,
                "names": [str(each) for each in gap.names],
            }
            for gap in result.gaps
        ],
        "crossings": [vars(each) for each in result.crossings],
        "bypasses": [vars(each) for each in result.bypasses],
        "phases": {name: vars(result.between(*span)) for name, span in phases.items()},
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
