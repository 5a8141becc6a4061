"""Traffic over time: what recorded packets say of a stream, and the plans of who records them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_kollalab.sdn.capture.watch import ROOT
from pytest_kollalab.sdn.probe.namespace import Namespace, NodeItself
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.traffic import watch as word
from pytest_kollalab.sdn.traffic.analysis import Recorded, StreamResult, analyse
from pytest_kollalab.sdn.traffic.stream import TrafficStream
from pytest_kollalab.sdn.traffic.watch import NodeTraffic, TrafficWatch, epoch, node_plans
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.ssh import Ssh

# Recorded in three network namespaces in a row: the one in the middle is the function. After half a
# second packets go around it for 0.4 s; later its route is gone for 0.5 s.
RECORDED = Path(__file__).with_name("traffic.json")
MS = 1_000_000
TICK = 20 * MS
NO_SSH = cast(Ssh, None)
NETWORK = Network("n", "net", "s", "10.0.0.0/24", None, 1450)


def probe(name: str, number: int, node: str = "compute-1", namespace: str = "") -> Probe:
    port = Port(f"{number:08x}-0000", f"fa:16:3e:00:00:{number:02x}", f"10.0.0.{number}")
    return Probe(name, NETWORK, Namespace(NO_SSH, node, namespace or f"kl-{name}"), [port])


def stream(
    sent: int, *, without: set[int] | None = None, late: dict[int, int] | None = None, **more: Any
) -> Recorded:
    """Packets every 20 ms, each 1 ms on its way; some lost, some later, in nanoseconds."""
    times = [number * TICK for number in range(sent)]
    delays = late or {}
    came = [
        (number, when + MS + delays.get(number, 0))
        for number, when in enumerate(times)
        if number not in (without or ())
    ]
    return Recorded(times, sorted(came, key=lambda each: each[1]), **more)


def judged(recorded: Recorded, kind: str = "udp", **more: Any) -> StreamResult:
    return analyse("stream", kind, recorded, **more)


def test_a_stream_without_trouble_has_no_gap() -> None:
    result = judged(stream(500))
    assert (result.sent, result.received, result.lost, result.gaps) == (500, 500, 0, ())
    assert result.longest == 0
    assert result.paused == pytest.approx(0.02)


def test_an_outage_of_two_seconds() -> None:
    result = judged(stream(500, without=set(range(100, 200))), epoch=1000.0)
    (gap,) = result.gaps
    assert gap.seconds == pytest.approx(2.02)
    assert gap.least == pytest.approx(1.98)
    assert gap.began == pytest.approx(1000 + 99 * 0.02 + 0.001)
    assert (gap.lost, gap.is_open, result.lost) == (100, False, 100)


def test_one_lost_packet_is_a_gap_of_two_intervals() -> None:
    (gap,) = judged(stream(50, without={7})).gaps
    assert gap.lost == 1
    assert gap.seconds == pytest.approx(0.04)


def test_what_is_25_ms_late_is_no_gap_and_what_is_30_ms_late_is_one() -> None:
    assert judged(stream(50, late=dict.fromkeys(range(20, 50), 25 * MS))).gaps == ()
    (gap,) = judged(stream(50, late=dict.fromkeys(range(20, 50), 30 * MS))).gaps
    assert gap.lost == 0
    assert gap.seconds == pytest.approx(0.05)


def test_packets_that_were_kept_and_came_at_once_are_late_not_lost() -> None:
    kept = {number: (200 - number) * TICK for number in range(100, 200)}
    result = judged(stream(500, late=kept))
    (gap,) = result.gaps
    assert (gap.lost, result.lost, result.reordered) == (0, 0, 0)
    assert gap.seconds == pytest.approx(2.02)


def test_a_sender_that_paused_is_no_gap_of_the_network() -> None:
    # The processor was not given to it for a second.
    times = [number * TICK + (1_000 * MS if number >= 100 else 0) for number in range(200)]
    result = judged(Recorded(times, [(number, when + MS) for number, when in enumerate(times)]))
    assert result.gaps == ()
    assert result.paused == pytest.approx(1.02)


def test_a_gap_that_has_not_ended() -> None:
    (gap,) = judged(stream(100, without=set(range(50, 100)))).gaps
    assert (gap.is_open, gap.lost) == (True, 50)
    assert gap.seconds == pytest.approx(1.0)
    assert "so far" in str(gap)


def test_nothing_arrived_at_all() -> None:
    result = judged(stream(50, without=set(range(50))), sent_epoch=500.0, epoch=7.0)
    (gap,) = result.gaps
    assert (gap.began, gap.lost, gap.is_open) == (500.0, 50, True)
    assert (result.received, result.round_trip) == (0, None)


def test_a_loss_at_the_beginning() -> None:
    (gap,) = judged(stream(100, without=set(range(10)))).gaps
    assert (gap.lost, gap.is_open) == (10, False)
    assert gap.seconds == pytest.approx(0.2)


def test_packets_before_the_block_do_not_count() -> None:
    result = judged(stream(100, without=set(range(10)), first=10))
    assert (result.sent, result.lost, result.gaps) == (90, 0, ())


def test_reordered_and_duplicated() -> None:
    recorded = stream(10)
    came = list(recorded.arrived)
    came[3], came[4] = came[4], came[3]
    result = judged(Recorded(recorded.sent, [*came, came[5], came[5]]))
    assert (result.reordered, result.duplicated, result.lost, result.gaps) == (1, 2, 0, ())


def test_a_late_packet_belongs_to_no_gap_of_lost_ones() -> None:
    # 4 comes after 6: only 5 is lost.
    result = judged(stream(10, without={5}, late={4: 50 * MS}))
    assert [gap.lost for gap in result.gaps] == [1]
    assert result.reordered == 1


def test_an_outage_of_a_ping_is_told_by_one_clock() -> None:
    result = judged(stream(200, without=set(range(50, 60))), "ping", epoch=10.0)
    assert result.round_trip == pytest.approx((0.001, 0.001, 0.001))
    assert result.gaps[0].seconds == pytest.approx(0.22)


def test_what_goes_around_a_function_is_counted_and_a_loss_is_not() -> None:
    # The function sees neither 30 to 39, which arrive, nor 60 to 69, which are lost.
    saw = frozenset({*range(100)} - {*range(30, 40)} - {*range(60, 70)})
    recorded = stream(100, without=set(range(60, 70)), seen=[saw], passed_on=[saw], answered=[saw])
    result = judged(recorded, steps=["firewall"], epoch=100.0)
    (crossing,) = result.crossings
    assert (crossing.saw, crossing.passed_on, crossing.bypassed) == (80, 80, 10)
    assert (result.bypassed, result.lost) == (10, 10)
    (span,) = result.bypasses
    assert span.packets == 10
    assert span.began == pytest.approx(100 + 30 * 0.02 + 0.001)
    assert span.seconds == pytest.approx(0.18)


def test_two_bypasses_that_are_apart_are_two_spans() -> None:
    saw = frozenset({*range(300)} - {10, 11, 200})
    result = judged(stream(300, seen=[saw], passed_on=[saw], answered=[saw]), steps=["firewall"])
    assert [each.packets for each in result.bypasses] == [2, 1]


def test_a_ping_that_the_target_got_counts_though_its_answer_was_lost() -> None:
    saw = frozenset(range(10))
    recorded = stream(
        20,
        without=set(range(10, 20)),
        seen=[saw],
        passed_on=[saw],
        answered=[saw],
        got=frozenset(range(15)),
    )
    result = judged(recorded, "ping", steps=["firewall"])
    assert (result.lost, result.bypassed) == (10, 5)


def test_answers_around_a_function_count_if_it_is_symmetric() -> None:
    saw, back = frozenset(range(20)), frozenset(range(5, 20))
    recorded = stream(20, seen=[saw], passed_on=[saw], answered=[back])
    assert judged(recorded, "ping", steps=["nat"]).bypassed == 0
    result = judged(recorded, "ping", steps=["nat"], symmetric=True)
    assert (result.bypassed, result.crossings[0].unanswered) == (5, 5)


def recorded_results() -> list[StreamResult]:
    told = json.loads(RECORDED.read_text())
    a, b, f = (probe(name, n, "host", f"w-{name}") for n, name in enumerate("abf", 1))
    for each in (a, b, f):
        each.ports[0] = Port(f"w-{each.name}0", "", "")
    watch = TrafficWatch(NO_SSH, [])
    streams = [
        watch.ping(a, b, through=[f], symmetric=True),
        watch.udp(a, b, through=[f]),
        watch.tcp(a, b, through=[f]),
    ]
    node = NodeTraffic(NodeItself(NO_SSH, "host"), {}, epoch=told["epoch"])
    found = word.results(streams, told["answers"], {"host": node}, told["first"], 0.02)
    return [found[each] for each in streams]


def test_recorded_pings_and_datagrams() -> None:
    pings, datagrams, _ = recorded_results()
    for result in (pings, datagrams):
        (gap,) = result.gaps
        assert gap.seconds == pytest.approx(0.55, abs=0.05)
        assert gap.lost == 27
        # Packets went around the function for 0.4 s.
        assert result.bypassed == 21
        (span,) = result.bypasses
        assert span.seconds == pytest.approx(0.4, abs=0.03)
        assert result.crossings[0].saw == 126 - 21
        # One left the function when its way back was gone.
        assert result.crossings[0].passed_on in (78, 79)
    assert pings.round_trip is not None
    assert pings.round_trip[1] < 0.001


def test_a_recorded_connection_loses_nothing_and_is_late() -> None:
    *_, connection = recorded_results()
    assert (connection.lost, connection.broken) == (0, 0)
    (gap,) = connection.gaps
    # TCP sent again after 0.2 and 0.4 s.
    assert gap.seconds == pytest.approx(0.69, abs=0.05)
    assert connection.bypassed == 21


def streams_of(watch: TrafficWatch) -> list[TrafficStream]:
    near, far = probe("near", 1), probe("far", 2, "controller-1")
    firewall, server = probe("firewall", 3), probe("server", 4, namespace=ROOT)
    return [
        watch.ping(near, far, through=[firewall]),
        watch.udp(near, far, through=[[firewall, server]], port=53),
        watch.tcp(far, near, to="203.0.113.9"),
    ]


def test_the_plan_of_each_node() -> None:
    plans = node_plans(streams_of(TrafficWatch(NO_SSH, [])), ["gateway-1"], "ab" * 8, 0.02)
    assert set(plans) == {"compute-1", "controller-1", "gateway-1"}
    here, there = plans["compute-1"], plans["controller-1"]
    assert [(e["id"], e["kind"], e["port"]) for e in here["send"]] == [
        (0, "ping", 9701),
        (1, "udp", 53),
    ]
    assert [(e["id"], e["address"]) for e in there["send"]] == [(2, "203.0.113.9")]
    # Pings are answered by the kernel of the target.
    assert [(e["id"], e["kind"], e["namespace"]) for e in there["receive"]] == [
        (1, "udp", "kl-far")
    ]
    assert [(e["id"], e["port"]) for e in here["receive"]] == [(2, 9703)]
    # Once for each function, and at the target of pings.
    assert [e["namespace"] for e in here["capture"]] == ["kl-firewall", ROOT]
    assert [(e["namespace"], e["pings"]) for e in there["capture"]] == [("kl-far", [0])]
    assert here["capture"][0]["devices"] == []
    # A server is looked at from outside, at the node's end of its card.
    assert here["capture"][1]["devices"] == ["tap00000004-00"]
    assert here["capture"][1]["macs"] == ["fa:16:3e:00:00:04"]
    assert plans["gateway-1"]["send"] == plans["gateway-1"]["capture"] == []
    json.dumps(plans)


def test_a_stream_to_an_address_needs_a_receiver() -> None:
    watch = TrafficWatch(NO_SSH, [])
    near = probe("near", 1)
    assert watch.ping(near, "203.0.113.7").name == "ping near to 203.0.113.7"
    with pytest.raises(ConfigError, match="no receiver"):
        watch.udp(near, cast(Probe, "203.0.113.7"))


def test_names_of_streams() -> None:
    assert [each.name for each in streams_of(TrafficWatch(NO_SSH, []))] == [
        "ping near to far",
        "udp near to far",
        "tcp far to near at 203.0.113.9",
    ]
    assert word.unique(["a", "b", "a", "a"]) == ["a", "b", "a #2", "a #3"]


def test_a_watch_needs_a_stream() -> None:
    with pytest.raises(ConfigError, match="without a stream"), TrafficWatch(NO_SSH, [])():
        pass


def test_the_clock_of_a_node_is_trusted_within_the_question() -> None:
    clock = {"monotonic": 5_000_000_000, "real": 1_000_000_000_000}
    assert epoch(999.9, 1000.1, clock) == pytest.approx((995.0, 0.1))
    # It is 60 s behind: its time when it was asked is that of the question.
    assert epoch(1060.0, 1060.2, clock) == pytest.approx((1055.1, 0.1))


def test_what_makes_results_uncertain_is_told() -> None:
    places = [{"place": "tap1", "missed": 3, "blind": 2, "seen": []}]
    node = NodeTraffic(NodeItself(NO_SSH, "n"), {}, doubt=1.5)
    told = word.problems({"n": {"places": places, "skipped": 4}}, {"n": node})
    assert [each.partition(":")[0] for each in told] == [
        "n had no room for 3 frames at tap1",
        "n could not look at tap1 for 2 s",
        "n was too busy to send 4 times in time",
        "the clock of n is known to 1.5 s",
    ]
    quiet = [{"place": "tap1", "missed": 0, "blind": 0, "seen": []}]
    calm = NodeTraffic(NodeItself(NO_SSH, "n"), {})
    assert word.problems({"n": {"places": quiet, "skipped": 0}}, {"n": calm}) == []


def test_a_long_stream_is_analysed_at_once() -> None:
    # An hour, in which every hundredth packet is lost.
    result = judged(stream(180_000, without=set(range(50, 180_000, 100))))
    assert len(result.gaps) == 1800
    assert all(one.ended <= other.began for one, other in itertools.pairwise(result.gaps))
