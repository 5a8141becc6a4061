"""The window of time of a test: lines of logs that lie in it, and those that tell of trouble."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

# uwsgi and syslog tell whole seconds.
SLACK = 1.0
# Of a log that tells no times at all, so many lines at its end.
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


@dataclass(frozen=True)
class Window:
    """A span of time in seconds since 1970; `offset` is the zone of times that name none, too."""

    since: float
    until: float
    offset: int = 0

    def covers(self, moment: float) -> bool:
        """Whether a moment lies in the span, give or take a second."""
        return self.since - SLACK <= moment <= self.until + SLACK

    def cut(self, text: str) -> str:
        """The lines of a log that lie in the span.

        A line without a time goes with the one before it, such as the lines of a traceback. Of a
        log without any times the end is returned.
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
        """The time that a line of a log begins with, or tells of a request; None without one."""
        try:
            return self._moment(line)
        except (ValueError, KeyError):
            return None  # it only looked like a time

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
            # In January December is last year's.
            if moment <= self.until + 86400:
                return moment
            return self._at(None, this_year - 1, MONTHS[name], day, *clock)
        return None

    def _at(self, zone: str | None, *parts: int | str) -> float:
        return datetime(*map(int, parts), tzinfo=_zone(zone, self.offset)).timestamp()  # type: ignore[arg-type,misc]


@dataclass(frozen=True)
class Moment:
    """A line of some log and when it was written."""

    time: float
    where: str
    line: str

    def __str__(self) -> str:
        clock = datetime.fromtimestamp(self.time, UTC).strftime("%H:%M:%S.%f")[:-3]
        return f"{clock} {self.where}: {self.line}"


def troubles(where: str, text: str, window: Window) -> Iterator[Moment]:
    """The lines of a log that are warnings or worse."""
    for line in text.splitlines():
        if TROUBLE.search(line):
            moment = window.moment(line)
            if moment is not None:
                yield Moment(moment, where, line)


def timeline(moments: Iterable[Moment]) -> str:
    """Lines of many logs in the order of their times."""
    return "".join(f"{moment}\n" for moment in sorted(moments, key=lambda each: each.time))


def _zone(zone: str | None, offset: int) -> timezone:
    if zone is None:
        return timezone(timedelta(seconds=offset))
    if zone == "Z":
        return UTC
    sign = -1 if zone[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])))
