"""The time window of a test: selects the lines of logs in it, and those with warnings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

# uwsgi and syslog write whole seconds.
SLACK = 1.0
# The number of lines that are kept from the end of a log without any times.
UNSTAMPED_LINES = 500
MONTHS = {
    name: at for at, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}

ISO = re.compile(
    r"^.{0,12}?(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?"
    r"\s?(Z|[+-]\d\d:?\d\d)?"
)
APACHE = re.compile(r"\[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
UWSGI = re.compile(r"\[?\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.\d+)? (\d{4})\]?")
SYSLOG = re.compile(r"^(\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) ")
TROUBLE = re.compile(
    r"\b(?:WARN(?:ING)?|ERR(?:OR)?|CRITICAL|FATAL|EMER|Traceback)\b|\[(?:error|warning)\]", re.I
)


# What differs between two lines with the same message: UUIDs, MAC addresses, the names that Neutron
# gives devices, long hexadecimal ids, numbers.
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}"
    r"|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"
    r"|\b(?:tap|q[a-z]{1,2}-?)[0-9a-f]{8}-[0-9a-f]{2}\b"
    r"|\b(?=\w*\d)[0-9a-f]{6,}\b|\d+",
    re.I,
)
# In so many different minutes before a span, a message is one that is always there.
AGAIN = 3


@dataclass(frozen=True)
class Window:
    """A span of time.

    Attributes:
        since: Its start, in seconds since 1970.
        until: Its end, in seconds since 1970.
        offset: The offset from UTC, in seconds, of times without a zone.
    """

    since: float
    until: float
    offset: int = 0

    def covers(self, moment: float) -> bool:
        """Whether a time is in the span, with a tolerance of a second."""
        return self.since - SLACK <= moment <= self.until + SLACK

    def cut(self, text: str) -> str:
        """The lines of a log that are in the span.

        A line without a time, such as one of a traceback, belongs to the line before it. If a log
        has no times at all, its end is returned.
        """
        kept: list[str] = []
        inside = stamped = False
        lines = text.splitlines(keepends=True)
        for line in lines:
            moment = self.moment(line)
            if moment is not None:
                stamped = True
                inside = self.covers(moment)
            if inside:
                kept.append(line)
        return "".join(kept if stamped else lines[-UNSTAMPED_LINES:])

    def moment(self, line: str) -> float | None:
        """The time of a line in seconds since 1970, None if it has none."""
        try:
            return self._moment(line)
        except (ValueError, KeyError):
            return None  # it only looks like a time

    def _moment(self, line: str) -> float | None:
        if found := ISO.match(line):
            *whole, fraction, zone = found.groups()
            return self._at(zone, *whole, int((fraction or "0").ljust(6, "0")))
        if found := APACHE.search(line):
            day, name, year, *clock, zone = found.groups()
            return self._at(zone, year, MONTHS[name], day, *clock)
        if found := UWSGI.search(line):
            name, day, *clock, year = found.groups()
            return self._at(None, year, MONTHS[name], day, *clock)
        if found := SYSLOG.match(line):
            name, day, *clock = found.groups()
            this_year = datetime.fromtimestamp(self.until, UTC).year
            moment = self._at(None, this_year, MONTHS[name], day, *clock)
            # syslog has no year; in January, December belongs to the last year.
            if moment <= self.until + 86400:
                return moment
            return self._at(None, this_year - 1, MONTHS[name], day, *clock)
        return None

    def _at(self, zone: str | None, *parts: int | str) -> float:
        return datetime(*map(int, parts), tzinfo=_zone(zone, self.offset)).timestamp()  # type: ignore[arg-type,misc]


@dataclass(frozen=True)
class Moment:
    """A line of a log and the time at which it was written."""

    time: float
    where: str
    line: str

    def __str__(self) -> str:
        clock = datetime.fromtimestamp(self.time, UTC).strftime("%H:%M:%S.%f")[:-3]
        return f"{clock} {self.where}: {self.line}"


def troubles(
    where: str, text: str, window: Window, telling: Callable[[str], bool] | None = None
) -> Iterator[Moment]:
    """The lines of a log with warnings and errors, and those that tell much."""
    for line in text.splitlines():
        if TROUBLE.search(line) or (telling is not None and telling(line)):
            moment = window.moment(line)
            if moment is not None:
                yield Moment(moment, where, line)


def form(line: str) -> str:
    """What lines with the same message have in common: all but numbers, ids, names and times."""
    return CHANGING.sub("#", line)


def usual(text: str, window: Window) -> set[str]:
    """The forms of warnings and errors that a log had again and again before a span.

    A message counts if it was there in several different minutes.
    """
    minutes: dict[str, set[int]] = {}
    for line in text.splitlines():
        if TROUBLE.search(line):
            moment = window.moment(line)
            if moment is not None and moment < window.since - SLACK:
                minutes.setdefault(form(line), set()).add(int(moment // 60))
    return {each for each, seen in minutes.items() if len(seen) >= AGAIN}


def timeline(moments: Iterable[Moment]) -> str:
    """Lines of several logs as text, in order of time."""
    return "".join(f"{moment}\n" for moment in sorted(moments, key=lambda each: each.time))


def _zone(zone: str | None, offset: int) -> timezone:
    if zone is None:
        return timezone(timedelta(seconds=offset))
    if zone == "Z":
        return UTC
    sign = -1 if zone[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])))
