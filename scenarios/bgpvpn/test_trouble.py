"""Sessions and daemons that fail, and what comes back without help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kollalab.features.bgpvpn.speaker import Speaker
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant

pytestmark = pytest.mark.kollalab_disruptive


@pytest.fixture(scope="module")
def vpn(bgpvpn: Bgpvpn, ends: Ends) -> Vpn:
    vpn = bgpvpn.l3()
    vpn.join(ends.left)
    vpn.join(ends.right)
    return vpn


@pytest.fixture(autouse=True)
def all_is_well_before_and_after(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> Iterator[None]:
    vpn.wait_converged()
    bgpvpn.reaches(ends.near, ends.far)
    yield
    for speaker in bgpvpn.speakers.values():
        speaker.wait_established(120)
    bgpvpn.reaches(ends.near, ends.far, within=60)


@pytest.fixture
def speaker(bgpvpn: Bgpvpn) -> Speaker:
    return bgpvpn.speakers["compute-1"]


def test_a_session_that_is_reset_comes_back(
    bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker, record_property: Callable[[str, object], None]
) -> None:
    bgpvpn.reflector.reset(speaker.address)
    seconds = bgpvpn.reflector.wait_established(speaker.address)
    record_property("seconds until established", round(seconds, 1))
    bgpvpn.announced(ends.near)
    bgpvpn.reaches(ends.near, ends.far)


def test_the_reflector_goes_and_comes_back(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, record_property: Callable[[str, object], None]
) -> None:
    with bgpvpn.reflector.stopped():
        for speaker in bgpvpn.speakers.values():
            speaker.wait_established(60, down=True)
        # Without the reflector, the speakers drop its routes.
        bgpvpn.lost(ends.near, ends.far)
    vpn.touch()
    record_property("seconds until converged", round(vpn.wait_converged(120), 1))
    bgpvpn.reaches(ends.near, ends.far)


def test_a_silent_peer_is_noticed(
    bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker, record_property: Callable[[str, object], None]
) -> None:
    with bgpvpn.reflector.deaf_to(speaker.address):
        seconds = bgpvpn.withdrawn(ends.near, within=60)
        record_property("seconds until withdrawn", round(seconds, 1))
        bgpvpn.lost(ends.far, ends.near)
    # A restart saves time: the speaker reconnects by itself only 20 s after a session has ended.
    speaker.restart()
    bgpvpn.announced(ends.near, within=60)


def test_another_as_is_refused(bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker) -> None:
    with bgpvpn.reflector.expecting(speaker.address, "remote-as 64999"):
        speaker.wait_established(60, down=True)
        bgpvpn.withdrawn(ends.near)
        # A restart saves time: the speaker reconnects by itself only 20 s after an error.
        speaker.restart()
        bgpvpn.reflector.await_complaint(speaker.address, "Bad Peer AS")
    # The speaker does not reconnect by itself, which is the subject of the next test.
    speaker.restart_refused()
    bgpvpn.announced(ends.near, within=60)


@pytest.mark.defect("bgpvpn-refused-for-its-as-never-tries-again")
def test_who_was_refused_for_its_as_tries_again(
    bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker
) -> None:
    try:
        with bgpvpn.reflector.expecting(speaker.address, "remote-as 64999"):
            speaker.restart()
            bgpvpn.reflector.await_complaint(speaker.address, "Bad Peer AS")
        # The speaker waits for 5 s after a failed connection.
        speaker.wait_established(15)
    finally:
        speaker.restart()
        bgpvpn.announced(ends.near, within=60)


def test_a_wrong_key_is_refused(bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker) -> None:
    with bgpvpn.reflector.expecting(speaker.address, "remote-as 64512", "password another"):
        speaker.wait_established(60, down=True)
        bgpvpn.withdrawn(ends.near)
        unsigned = bgpvpn.reflector.unsigned()
        speaker.restart()
        bgpvpn.reflector.await_unsigned(unsigned)
        assert not bgpvpn.reflector.sessions().get(speaker.address)
    bgpvpn.reflector.wait_established(speaker.address)
    bgpvpn.announced(ends.near, within=60)


def test_a_speaker_that_is_restarted_knows_all_again(
    bgpvpn: Bgpvpn,
    ends: Ends,
    vpn: Vpn,
    speaker: Speaker,
    record_property: Callable[[str, object], None],
) -> None:
    vpn.touch()
    speaker.restart()
    speaker.wait_established()
    bgpvpn.announced(ends.near, within=60)
    record_property("seconds until converged", round(vpn.wait_converged(60), 1))
    bgpvpn.reaches(ends.near, ends.far)


def test_a_speaker_that_is_killed_is_started_again(
    bgpvpn: Bgpvpn, ends: Ends, speaker: Speaker
) -> None:
    speaker.kill()
    speaker.wait_established(120)
    bgpvpn.announced(ends.near, within=60)
    bgpvpn.reaches(ends.near, ends.far)


def test_open_vswitch_is_restarted(
    bgpvpn: Bgpvpn,
    ends: Ends,
    vpn: Vpn,
    tenant: Tenant,
    speaker: Speaker,
    record_property: Callable[[str, object], None],
) -> None:
    vpn.touch()
    speaker.restart_switch()
    speaker.await_agent()
    tenant.replug(ends.near)
    record_property("seconds until converged", round(vpn.wait_converged(120), 1))
    bgpvpn.reaches(ends.near, ends.far, within=60)


def test_the_agent_is_killed(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, tenant: Tenant, speaker: Speaker
) -> None:
    speaker.kill_agent()
    # A new port becomes active and is announced only when the agent is back.
    guest = tenant.probe(ends.left, speaker.node, name="guest")
    vpn.wait_converged(120)
    bgpvpn.reaches(guest, ends.far, within=60)
    bgpvpn.reaches(ends.near, ends.far)
