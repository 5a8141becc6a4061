"""What nodes must agree on: names and time."""

from __future__ import annotations

from pytest_kollalab.stages.cloud.preflight import Ahead, clock_troubles, name_troubles

ADDRESSES = {"controller-1": "10.0.1.11", "compute-1": "10.0.1.12"}


def test_all_know_each_other() -> None:
    said = "controller-1 10.0.1.11 \ncompute-1 10.0.1.12 \n"
    assert list(name_troubles({"controller-1": said, "compute-1": said}, ADDRESSES)) == []


def test_a_name_that_is_unknown_or_means_something_else() -> None:
    said = {"controller-1": "controller-1 10.0.1.11 \ncompute-1 \n",
            "compute-1": "controller-1 10.0.0.11 10.0.1.11 \ncompute-1 10.0.1.12 \n"}  # fmt: skip
    assert list(name_troubles(said, ADDRESSES)) == [
        "controller-1: compute-1 is unknown",
        "compute-1: controller-1 is 10.0.0.11, 10.0.1.11 instead of 10.0.1.11",
    ]


def test_clocks() -> None:
    def troubles(controller: Ahead, compute: Ahead) -> list[str]:
        return list(clock_troubles({"controller-1": controller, "compute-1": compute}))

    assert troubles(Ahead(-0.1, 0.4), Ahead(-1.2, -1.0)) == []
    # What both are ahead of this host is their own business.
    assert troubles(Ahead(3600.0, 3600.2), Ahead(3601.0, 3601.1)) == []
    # Of an answer that took 40 s nobody can tell when the clock was read.
    assert troubles(Ahead(-0.1, 0.1), Ahead(-39.0, 1.0)) == []
    assert troubles(Ahead(-0.1, 0.1), Ahead(-90.6, -90.2)) == [
        "controller-1 is 0 s ahead of this host",
        "compute-1 is 90 s behind this host",
    ]
    assert troubles(Ahead(-0.1, 0.1), Ahead(89.8, 90.4))[1] == (
        "compute-1 is 90 s ahead of this host"
    )
