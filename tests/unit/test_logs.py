"""Trouble in the logs of services."""

from __future__ import annotations

from pytest_kollalab.stages.cloud.logs import Allowance, find_troubles, summary

LOG = """\
2026-11-22 21:01:10.100 7 INFO neutron.wsgi [-] (7) wsgi starting up
2026-11-22 21:01:11.200 7 ERROR oslo.messaging._drivers.impl_rabbit [-] Connection failed: refused
2026-11-22 21:01:12.300 7 ERROR neutron.service [-] Unrecoverable: please look: OperationalError
2026-11-22 21:01:12.300 7 ERROR neutron.service Traceback (most recent call last):
2026-11-22 21:01:12.300 7 ERROR neutron.service   File "/a/connections.py", line 649, in connect
2026-11-22 21:01:12.300 7 ERROR neutron.service     sock = socket.create_connection(
2026-11-22 21:01:12.300 7 ERROR neutron.service            ^^^^^^^^^^^^^^^^^^^^^^^^^
2026-11-22 21:01:12.300 7 ERROR neutron.service ConnectionRefusedError: [Errno 111]
2026-11-22 21:01:12.300 7 ERROR neutron.service 
2026-11-22 21:01:13.400 7 INFO neutron.service [-] going on
2026-11-22 21:01:14.500 7 CRITICAL neutron [-] Unhandled error: SystemExit: 1
"""  # noqa: W291


def test_a_traceback_is_one_trouble_and_tells_its_exception() -> None:
    traceback, critical = find_troubles("controller-1", "neutron/server.log", LOG)
    assert traceback.line == 4
    assert traceback.text.splitlines()[-1].endswith("ConnectionRefusedError: [Errno 111]")
    assert "Unrecoverable" in traceback.text
    assert "create_connection" not in traceback.text
    assert critical.text.endswith("SystemExit: 1")


def test_an_allowance_covers_one_file_and_one_text() -> None:
    traceback, critical = find_troubles("controller-1", "neutron/server.log", LOG)
    allowance = Allowance(r"^neutron/", r"ConnectionRefused", "the first connection")
    assert allowance.covers(traceback)
    assert not allowance.covers(critical)


def test_a_quiet_log() -> None:
    assert find_troubles("compute-1", "x.log", LOG.splitlines()[0]) == []
    assert summary([]) == ""


def test_a_long_list_is_cut() -> None:
    found = find_troubles("compute-1", "x.log", LOG) * 10
    assert summary(found, most=3).endswith("and 17 more\n")


CHAIN = """\
Exception in thread Thread-7 (synced_send):
Traceback (most recent call last):
  File "/a/client.py", line 88, in wrapper
    return func(*args)
           ^^^^^^^^^^^
keystoneauth1.exceptions.http.Unauthorized: The request needs authentication.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/usr/lib/python3.13/threading.py", line 1043, in _bootstrap_inner
    self.run()
neutron_lib.exceptions.placement.PlacementClientError: Placement Client Error (4xx)

[pid: 29|app: 0|req: 125/125] GET /v2.0/ports
"""


def test_a_chain_of_exceptions_is_one_trouble_and_tells_the_last() -> None:
    (trouble,) = find_troubles("controller-1", "neutron/neutron-server-uwsgi.log", CHAIN)
    assert trouble.text.splitlines()[-1].startswith("neutron_lib.exceptions.placement")
