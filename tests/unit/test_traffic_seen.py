"""What happened while traffic was watched: names of gaps, JSON, the picture."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import cast

import pytest

from pytest_kollalab.report import happenings as of_lab
from pytest_kollalab.report.window import Window
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.traffic import picture
from pytest_kollalab.sdn.traffic.analysis import Crossing, Gap, StreamPhase, StreamResult
from pytest_kollalab.sdn.traffic.happenings import DOCKER, FLOWS, LOG, NOTE, TASK, Happening, naming
from pytest_kollalab.sdn.traffic.happenings import told as told_by_node
from pytest_kollalab.sdn.traffic.seen import SeenTraffic
from pytest_kollalab.sdn.traffic.stream import TrafficStream, stream
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.ssh import Ssh

SVG = "{http://www.w3.org/2000/svg}"
BEGAN = 1_796_043_000.0
FLUSH = Happening(FLOWS, "compute-1", BEGAN + 10.05, "br-int: 57 deleted", 0.3)
DIED = Happening(DOCKER, "compute-1", BEGAN + 9.9, "openvswitch_vswitchd die with exit code 0")
BACK = Happening(DOCKER, "compute-1", BEGAN + 11.8, "openvswitch_vswitchd start")
EARLY = Happening(DOCKER, "compute-1", BEGAN + 3, "neutron_dhcp_agent start")
LATER = Happening(DOCKER, "controller-1", BEGAN + 12, "nova_api start")
ONGOING = Happening(TASK, "", BEGAN + 8, "openvswitch : Restart", 4)
OVER = Happening(TASK, "", BEGAN + 8, "openvswitch : Copy", 1.5)
ALL = [EARLY, ONGOING, OVER, DIED, FLUSH, BACK, LATER]


def test_a_gap_is_named_by_what_happened_then() -> None:
    assert naming(ALL, BEGAN + 10, BEGAN + 12) == (ONGOING, DIED, FLUSH, BACK)


def test_what_is_nearest_to_the_beginning_names_it() -> None:
    lines = [Happening(LOG, "n", BEGAN + at, str(at)) for at in (9.2, 9.95, 10.1, 11, 11.9)]
    assert [each.text for each in naming(lines, BEGAN + 10, BEGAN + 12)] == ["9.95", "10.1"]


def test_nothing_happened() -> None:
    gap = Gap(BEGAN, 0.5, 0.4, 20)
    assert naming([EARLY], BEGAN + 10, BEGAN + 11) == ()
    assert str(gap) == "0.50 s (20 lost): nothing was seen to happen then"


def test_what_a_node_tells() -> None:
    rows = [
        {"kind": "docker", "time": 10**9, "until": 10**9, "container": "c", "action": "start"},
        {"kind": "docker", "time": 2 * 10**9, "until": 2 * 10**9, "container": "c", "action": "die"}
        | {"code": "137"},
        {"kind": "flows", "time": 3 * 10**9, "until": 4 * 10**9, "bridge": "br-int", "added": 7}
        | {"deleted": 9},
        {"kind": "ended", "time": 5 * 10**9, "until": 5 * 10**9, "text": "docker tells no more"},
    ]
    found = told_by_node("compute-1", rows, BEGAN)
    assert [str(each) for each in found] == [
        "docker: c start on compute-1",
        "docker: c die with exit code 137 on compute-1",
        "flows: br-int: 9 deleted, 7 added on compute-1",
        "docker tells no more on compute-1",
    ]
    assert (found[2].time, found[2].until) == (BEGAN + 3, BEGAN + 4)


LOGS = """\
@@ neutron/neutron-openvswitch-agent.log
2026-11-30 12:49:59.000 7 WARNING neutron.agent [-] too early
2026-11-30 12:50:01.250 7 INFO neutron.plugins.ml2.ovs_neutron_agent [-] nothing to tell
2026-11-30 12:50:02.250 7 WARNING neutron.plugins.ml2.ovs_neutron_agent [None req-1 - -] OVS is dead
2026-11-30 12:50:02.500 7 INFO neutron.plugins.ml2.ovs_neutron_agent [-] Agent out of sync with \
plugin!

@@ openvswitch/ovs-vswitchd.log
2026-11-30T12:50:03.100Z|00017|rconn|WARN|br-int<->tcp: connection dropped
2026-11-30T12:51:03.100Z|00018|rconn|WARN|too late
"""


def test_telling_lines_of_logs() -> None:
    window = Window(BEGAN, BEGAN + 30)
    found = list(of_lab.lines("compute-1", LOGS, window))
    assert [(each.time - BEGAN, each.text) for each in found] == [
        (2.25, "neutron-openvswitch-agent: WARNING ovs_neutron_agent: OVS is dead"),
        (
            2.5,
            "neutron-openvswitch-agent: INFO ovs_neutron_agent: Agent out of sync with plugin!",
        ),
        (pytest.approx(3.1), "ovs-vswitchd: rconn WARN br-int<->tcp: connection dropped"),
    ]


def test_tasks_of_a_deploy(tmp_path: Path) -> None:
    path = tmp_path / "deploy-tasks.json"
    row = {"run": "deploy", "play": "p", "role": "neutron", "task": "Restart", "seconds": 3.5}
    # Files of older versions do not tell when a task began.
    path.write_text(json.dumps([{**row, "began": 2.0}, {**row, "began": 7.0, "at": BEGAN + 7}]))
    (task,) = of_lab.tasks(path)
    assert (task.time, task.until, task.text) == (BEGAN + 7, BEGAN + 10.5, "neutron : Restart")
    path.write_text("[{")
    assert list(of_lab.tasks(path)) == []


def a_stream(name: str) -> TrafficStream:
    network = Network("n", "net", "s", "10.0.0.0/24", None, 1450)
    port = Port("00000001-0000", "fa:16:3e:00:00:01", "10.0.0.1")
    near = Probe("near", network, Namespace(cast(Ssh, None), "compute-1", "kl-near"), [port])
    return stream("udp", near, near, name=name)


def seen(*results: StreamResult) -> SeenTraffic:
    watched = SeenTraffic(BEGAN, 0.02, lambda within: within)
    watched.happenings = [LATER, *ALL]
    watched.fill({a_stream(result.name): result for result in results}, BEGAN + 20)
    return watched


OUT = Gap(BEGAN + 10, 2.02, 1.98, 100)
BROKEN = StreamResult("udp <a> & b", "udp", 1000, 900, 100, gaps=(OUT,))
WHOLE = StreamResult("ping a to b", "ping", 1000, 1000, 0, round_trip=(0.001, 0.002, 0.003))
AROUND = StreamResult(
    "udp through firewall",
    "udp",
    1000,
    1000,
    0,
    bypassed=50,
    around=tuple(BEGAN + 5 + number / 49 for number in range(50)),
    crossings=(Crossing("firewall", 950, 950, 50),),
)


def test_results_by_stream_and_of_all() -> None:
    watched = seen(BROKEN, WHOLE, AROUND)
    broken, whole, _ = watched
    assert watched[broken].lost == 100
    assert watched[whole].longest == 0
    assert (watched.longest, watched.lost, watched.bypassed) == (2.02, 100, 50)
    ((result, gap),) = watched.gaps
    assert result.name == BROKEN.name
    assert gap.names == (ONGOING, DIED, FLUSH, BACK)
    assert "+10.00 s 2.02 s (100 lost): task: openvswitch : Restart; docker" in str(watched)


def test_there_is_no_result_before_the_block_has_ended() -> None:
    watched = SeenTraffic(BEGAN, 0.02, lambda within: within)
    for ask in (watched.as_json, watched.svg, lambda: watched.longest, lambda: watched.gaps):
        with pytest.raises(KollalabError, match="no result yet"):
            ask()
    assert watched.flows_again(7) == 7


def test_what_a_test_notes_names_a_gap() -> None:
    watched = SeenTraffic(BEGAN, 0.02, lambda within: within)
    watched.note("flow flush")
    (noted,) = watched.happenings
    assert (noted.kind, str(noted)) == (NOTE, "flow flush")


def test_json_has_everything(tmp_path: Path) -> None:
    text, drawing = seen(BROKEN, WHOLE, AROUND).save(tmp_path / "new", "watch", "test_x")
    told = json.loads(text.read_text())
    assert told["began"] == "2026-11-30T12:50:00.000+00:00"
    broken, whole, around = told["streams"]
    assert (broken["lost"], broken["longest"]) == (100, 2.02)
    (gap,) = broken["gaps"]
    assert gap["seconds"] == 2.02
    assert "flows: br-int: 57 deleted on compute-1" in gap["names"]
    assert whole["round_trip"] == [0.001, 0.002, 0.003]
    assert around["crossings"][0]["bypassed"] == around["bypassed"] == 50
    assert len(told["happenings"]) == len(ALL) + 1
    assert "test_x" in drawing.read_text()


def rects(drawing: str, kind: str) -> list[Xml.Element]:
    # Of the lanes; those above explain the colours.
    found = Xml.fromstring(drawing).findall(f"{SVG}rect[@class='{kind}']")
    return [each for each in found if float(each.attrib["y"]) > picture.TOP]


def test_the_picture_shows_gaps_and_bypasses_to_scale() -> None:
    drawing = seen(BROKEN, WHOLE, AROUND).svg("a <title>")
    assert len(rects(drawing, "flow")) == 3
    (lost,) = rects(drawing, "lost")
    (flow, *_) = rects(drawing, "flow")
    part = float(lost.attrib["width"]) / float(flow.attrib["width"])
    assert part == pytest.approx(2.02 / 20, abs=0.001)
    (around,) = rects(drawing, "around")
    assert float(around.attrib["width"]) / float(flow.attrib["width"]) == pytest.approx(
        1 / 20, abs=0.001
    )
    texts = [each.text or "" for each in Xml.fromstring(drawing).iter(f"{SVG}text")]
    assert "1: 2.02 s" in texts
    assert any("udp <a> & b 2.02 s (100 lost): task" in text for text in texts)
    assert "udp through firewall: 50 around firewall" in texts


def test_a_short_gap_in_a_long_watch_is_still_drawn() -> None:
    short = StreamResult("s", "udp", 9, 8, 1, gaps=(Gap(BEGAN + 1800, 0.04, 0, 1),))
    drawing = picture.svg([short], [], BEGAN, BEGAN + 3600, title="t")
    (lost,) = rects(drawing, "lost")
    assert float(lost.attrib["width"]) >= picture.LEAST


def test_no_text_of_the_picture_is_outside_of_it() -> None:
    names = [f"stream number {number} with a name that is rather long" for number in range(12)]
    results = [StreamResult(name, "udp", 1000, 900, 100, gaps=(OUT,)) for name in names]
    root = Xml.fromstring(seen(*results).svg())
    height = float(root.attrib["height"])
    for text in root.iter(f"{SVG}text"):
        assert float(text.attrib["y"]) < height
        # Letters of 11 pixels are no wider than 6 on average.
        assert float(text.attrib["x"]) + 5.8 * len(text.text or "") < picture.WIDTH + 20, text.text


def test_gaps_of_one_cause_are_listed_once() -> None:
    results = [
        StreamResult("a", "udp", 9, 8, 1, gaps=(Gap(BEGAN + 1, 1.0, 0, 1),)),
        StreamResult("b", "udp", 9, 8, 1, gaps=(Gap(BEGAN + 1.1, 1.2, 0, 1),)),
        StreamResult("c", "udp", 9, 8, 1, gaps=(Gap(BEGAN + 7, 1.0, 0, 1),)),
    ]
    names = [[result.name for result, _ in group] for group in picture.grouped(results)]
    assert names == [["a", "b"], ["c"]]


LONG = Gap(BEGAN + 8, 9.0, 8.9, 450)
SHORT = Gap(BEGAN + 3, 0.06, 0.02, 2)
PHASED = StreamResult(
    "udp",
    "udp",
    1000,
    500,
    500,
    bypassed=80,
    gaps=(SHORT, LONG, Gap(BEGAN + 18, 2.0, 1.9, 48, is_open=True)),
    # For half a second, and for one that the end of a phase divides.
    around=tuple(
        BEGAN + begin + number * 0.025
        for begin, packets in ((4, 20), (15.5, 60))
        for number in range(packets)
    ),
)


@pytest.mark.parametrize(
    ("began", "ended", "phase"),
    [
        (0, 2, StreamPhase(0, 0.0, 0, is_open=False)),
        (2, 5, StreamPhase(2, 0.06, 20, is_open=False)),
        # The long gap counts whole where it began, and is not over when the next phase ends.
        (5, 10, StreamPhase(450, 9.0, 0, is_open=True)),
        (10, 16, StreamPhase(0, 0.0, 20, is_open=True)),
        (16, 17.5, StreamPhase(0, 0.0, 40, is_open=False)),
        (17.5, 20, StreamPhase(48, 2.0, 0, is_open=True)),
    ],
)
def test_what_began_in_a_span(began: float, ended: float, phase: StreamPhase) -> None:
    assert PHASED.between(BEGAN + began, BEGAN + ended) == phase


def test_a_phase_tells_of_each_stream_and_names_gaps() -> None:
    watched = SeenTraffic(BEGAN, 0.02, lambda within: within)
    with watched.phase("the switch"):
        during = time.time()
    with pytest.raises(KollalabError, match="the agent fails"), watched.phase("the agent"):
        raise KollalabError("the agent fails")
    assert list(watched.phases) == ["the switch", "the agent"]
    stream = a_stream("udp")
    gap = Gap(during, 3.0, 2.9, 150)
    result = StreamResult("udp", "udp", 1000, 850, 150, gaps=(gap,))
    watched.fill({stream: result}, time.time() + 5)
    assert watched.of(stream, "the switch") == StreamPhase(150, 3.0, 0, is_open=True)
    assert watched.of(stream, "the agent").lost == 0
    (named,) = watched[stream].gaps
    assert str(named.names[0]) == "the switch"
    told = watched.as_json()
    assert told["streams"][0]["phases"]["the switch"]["lost"] == 150
    assert list(told["phases"]) == ["the switch", "the agent"]
