"""The window of a test: what of which log lies in it."""

from __future__ import annotations

from datetime import datetime

import pytest

from pytest_kollalab.report.window import Window, timeline, troubles


def at(clock: str, day: str = "2026-11-22") -> float:
    return datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp()


WINDOW = Window(at("21:10:00"), at("21:11:00"))


@pytest.mark.parametrize(
    ("line", "clock"),
    [
        ("2026-11-22 21:10:10.250 7 INFO neutron [-] text", "21:10:10.250"),
        ("2026-11-22T21:10:10.250Z|00003|memory|INFO|text", "21:10:10.250"),
        ("2026-11-22T21:10:10.250628661Z from docker", "21:10:10.250628"),
        ("2026-11-22 21:10:10.250597+00:00 [info] <0.1.0> rabbitmq", "21:10:10.250597"),
        ("2026-11-22T23:10:10.250000+0200 host systemd[1]: journal", "21:10:10.250"),
        ("2026-11-22 21:10:10,250 p=1 u=ansible n=ansible INFO| text", "21:10:10.250"),
        ("2026-11-22 21:10:10 0 [Note] mariadb", "21:10:10"),
        ("2026-11-22  21:10:10 0 [Note] two blanks are none", None),
        ("[2026-11-22 21:10:10.5] proxysql", "21:10:10.500"),
        ('10.0.0.1 - - [22/Nov/2026:22:10:10 +0100] "GET / HTTP/1.1" 200', "21:10:10"),
        ("[pid: 29|app: 0] 10.0.0.1 () {28} [Sun Nov 22 21:10:10 2026] GET /", "21:10:10"),
        ("Sun Nov 22 21:10:10 2026 - *** Starting uWSGI", "21:10:10"),
        ("Nov 22 21:10:10 dnsmasq[337]: exiting", "21:10:10"),
        ("Traceback (most recent call last):", None),
        ("2026-13-45 99:10:10 looks like a time", None),
        ("", None),
    ],
)
def test_times_of_all_kinds_of_logs(line: str, clock: str | None) -> None:
    assert WINDOW.moment(line) == (None if clock is None else pytest.approx(at(clock)))


def test_a_time_without_a_zone_is_in_the_nodes() -> None:
    there = Window(WINDOW.since, WINDOW.until, offset=3600)
    assert there.moment("2026-11-22 22:10:10.000 7 INFO x") == at("21:10:10")
    assert there.moment("2026-11-22 21:10:10.000+00:00 x") == at("21:10:10")


def test_a_december_line_read_in_january_is_last_years() -> None:
    january = Window(at("00:00:00", "2027-01-01"), at("00:01:00", "2027-01-01"))
    assert january.moment("Dec 31 23:59:59 dnsmasq: x") == at("23:59:59", "2026-12-31")


LOG = """\
2026-11-22 21:09:50.000 7 INFO before
    belongs to before
2026-11-22 21:10:10.000 7 ERROR within
Traceback (most recent call last):
ValueError: belongs to within
2026-11-22 21:10:59.900 7 INFO last
2026-11-22 21:12:00.000 7 INFO after
"""


def test_a_log_is_cut_to_the_window_with_what_belongs_to_its_lines() -> None:
    assert WINDOW.cut(LOG) == "".join(LOG.splitlines(keepends=True)[2:6])


def test_a_log_that_is_cut_off_at_its_start_loses_the_broken_line() -> None:
    assert WINDOW.cut("the rest of a line\n" + LOG).startswith("2026-11-22 21:10:10")


def test_of_a_log_without_times_the_end_is_kept() -> None:
    text = "".join(f"line {number}\n" for number in range(600))
    assert WINDOW.cut(text).splitlines() == [f"line {number}" for number in range(100, 600)]


def test_nothing_is_nothing() -> None:
    assert WINDOW.cut("") == ""
    assert timeline([]) == ""


def test_the_timeline_joins_the_troubles_of_many_logs() -> None:
    other = (
        "2026-11-22T21:10:05.000Z|00599|netdev|WARN|first\n2026-11-22T21:10:06.000Z|1|x|INFO|no\n"
    )
    found = [*troubles("a/x.log", LOG, WINDOW), *troubles("b/y.log", other, WINDOW)]
    assert timeline(found).splitlines() == [
        "21:10:05.000 b/y.log: 2026-11-22T21:10:05.000Z|00599|netdev|WARN|first",
        "21:10:10.000 a/x.log: 2026-11-22 21:10:10.000 7 ERROR within",
    ]
