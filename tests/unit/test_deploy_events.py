"""Ansible's events: progress lines, failures with their message, seconds per task."""

import datetime
from pathlib import Path
from typing import Any

from pytest_kollalab.stages.cloud import deploy
from pytest_kollalab.stages.cloud.events import (
    PlayProgress,
    Tally,
    TaskFailure,
    Timing,
    message,
    totals,
)


def event(kind: str, second: int = 0, **data: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "created": f"2026-01-01T10:{second // 60:02d}:{second % 60:02d}+00:00",
        "event_data": data,
    }


def read(*events: dict[str, Any]) -> tuple[PlayProgress, list[str]]:
    progress = PlayProgress()
    lines = [line for line in map(progress.read, events) if line is not None]
    return progress, lines


def test_a_line_per_play_that_does_something() -> None:
    progress, lines = read(
        event("playbook_on_play_start", 0, name="Gather facts"),
        event("playbook_on_task_start", 1, task="Gather", role=""),
        event("playbook_on_play_start", 5, name="Apply role aodh"),
        event("playbook_on_play_start", 5, name="Apply role mariadb"),
        event("playbook_on_task_start", 65, task="one", role="mariadb"),
        event("playbook_on_handler_task_start", 66, task="two", role="mariadb"),
        event("playbook_on_stats", 70),
    )
    assert lines == [
        "Gather facts, 0:01",
        "Apply role mariadb, 1:05",
    ]
    assert progress.tally.tasks == 3
    assert progress.timings == [
        Timing("Gather facts", "", "Gather", 4.0, 1.0),
        Timing("Apply role mariadb", "mariadb", "one", 1.0, 65.0),
        Timing("Apply role mariadb", "mariadb", "two", 4.0, 66.0),
    ]


def test_a_long_play_has_a_line_a_minute() -> None:
    _, lines = read(
        event("playbook_on_play_start", 0, name="Apply role neutron"),
        *(event("playbook_on_task_start", second, task=f"at {second}") for second in (1, 60, 61)),
        event("playbook_on_handler_task_start", 120, task="at 120"),
        event("playbook_on_handler_task_start", 500, task="at 500"),
    )
    assert lines == [
        "Apply role neutron, 0:01",
        "Apply role neutron: at 61, 1:01",
        "Apply role neutron: at 500, 8:20",
    ]


def test_failure_shows_host_task_and_message() -> None:
    progress, _ = read(
        event("runner_on_failed", host="h", task="t", role="nova", res={"msg": "no such port"})
    )
    assert progress.failures == [TaskFailure("h", "t", "nova", "no such port")]
    assert str(progress.failures[0]) == "h: nova : t\n  no such port"


def test_ignored_failures_do_not_count() -> None:
    progress, _ = read(event("runner_on_failed", host="h", task="t", ignore_errors=True))
    assert progress.failures == []


def test_a_loop_shows_what_its_items_said() -> None:
    progress, _ = read(
        event("runner_item_on_failed", host="h", task="t", task_uuid="1", res={"msg": "bad a"}),
        event("runner_item_on_failed", host="x", task="t", task_uuid="1", res={"msg": "bad x"}),
        event("runner_item_on_failed", host="h", task="t", task_uuid="1", res={"msg": "bad a"}),
        event(
            "runner_on_failed",
            host="h",
            task="t",
            task_uuid="1",
            res={"msg": "One or more items failed"},
        ),
    )
    assert progress.failures[0].message == "bad a"


def test_long_messages_keep_first_and_last_lines() -> None:
    text = "\n".join(f"line {number}" for number in range(20))
    progress, _ = read(event("runner_on_unreachable", host="h", task="t", res={"msg": text}))
    assert progress.failures[0].message == "line 0\nline 17\nline 18\nline 19"


def test_standard_phrases_give_way() -> None:
    assert message({"msg": "non-zero return code", "stderr": "no space"}) == "no space"
    assert message({"msg": "non-zero return code", "stdout": "said"}) == "said"
    assert message({}) == "no message"


def test_totals_are_sorted() -> None:
    timings = [Timing("p", "a", "t", 1.0), Timing("p", "b", "t", 5.0), Timing("p", "a", "u", 1.5)]
    assert totals(timings, "role") == [("b", 5.0, 1), ("a", 2.5, 2)]


SITE = deploy.Deployment(
    venv=Path("/venv"), playbooks=Path("/lab/playbooks"), etc=Path("/lab/etc"), folder=Path("/lab")
)


def test_arguments_name_files_and_no_password() -> None:
    run = deploy.Run("deploy-compute", "deploy", tags=("nova", "glance"))
    assert deploy.arguments(SITE, run) == [
        *("-i", "/lab/etc/inventory"),
        *("-e", "@/lab/etc/globals.yml"),
        *("-e", "@/lab/etc/passwords.yml"),
        *("-e", '{"kolla_action": "deploy", "CONFIG_DIR": "/lab/etc"}'),
        *("--tags", "nova,glance"),
        "/lab/playbooks/site.yml",
    ]
    assert str(run) == "the deploy of nova, glance"


def test_two_runs_share_a_tally() -> None:
    tally = Tally()
    one, two = PlayProgress(tally), PlayProgress(tally)
    one.read(event("playbook_on_task_start", 1, task="t"))
    two.read(event("playbook_on_play_start", 2, name="p"))
    line = two.read(event("playbook_on_task_start", 3, task="t"))
    assert line == "p, 0:02"
    # What either of them shows breaks the silence of both.
    assert one.read(event("playbook_on_task_start", 62, task="t")) is None
    assert one.read(event("playbook_on_task_start", 63, task="t")) == "t, 1:02"


def test_all_lines_of_a_stage_tell_the_time_since_the_stage_began() -> None:
    began = datetime.datetime(2026, 1, 1, 9, 59, 30, tzinfo=datetime.UTC).timestamp()
    for what, second, shown in (("prechecks", 5, "prechecks: p, 0:35"), ("", 65, "p, 1:35")):
        progress = PlayProgress(Tally(what=what, since=began))
        progress.read(event("playbook_on_play_start", second - 1, name="p"))
        assert progress.read(event("playbook_on_task_start", second, task="t")) == shown
        # Timings count from the first run.
        assert progress.tally.began == began + 30 + second - 1


def test_prechecks_are_called_so() -> None:
    steps: list[str] = []
    progress = PlayProgress(Tally(steps.append, "prechecks"))
    progress.read(event("playbook_on_play_start", 1, name="Apply role nova"))
    line = progress.read(event("playbook_on_task_start", 2, task="Check ports"))
    assert line == "prechecks: Apply role nova, 0:01"
    assert steps == ["prechecks: Apply role nova: Check ports"]


def test_a_warning_of_ours_is_shown_once() -> None:
    ours, theirs = "kollalab: the server is not used", "Platform linux is using the discovered"
    tally = Tally()
    lines = [
        PlayProgress(tally).read(event("runner_on_ok", 1, res={"warnings": [theirs, ours]}))
        for _ in range(2)
    ]
    assert lines == ["the server is not used", None]
    assert PlayProgress(tally).read(event("runner_on_ok", 2, res={"changed": True})) is None


def test_ansible_cfg_reaches_the_nodes_by_the_labs_own_ssh_config() -> None:
    text = deploy.ansible_cfg(Path("/lab/ssh_config"))
    assert "ssh_args = -F /lab/ssh_config" in text
    assert "pipelining = True" in text
    assert f"strategy = {deploy.STRATEGY.stem}" in text
    assert f"strategy_plugins = {deploy.STRATEGY.parent}" in text
    assert deploy.STRATEGY.is_file()


def test_a_rescued_task_does_not_hide_the_one_that_ended_the_play() -> None:
    progress, _ = read(
        event("runner_on_failed", 1, host="one", task="try", task_uuid="a", res={"msg": "no"}),
        event("runner_on_failed", 2, host="two", task="try", task_uuid="a", res={"msg": "no"}),
        event("runner_on_failed", 3, host="two", task="end", task_uuid="b", res={"msg": "over"}),
        event("playbook_on_stats", 4, failures={"two": 1}, rescued={"one": 1, "two": 1}),
    )
    assert progress.failures == [TaskFailure("two", "end", "", "over")]


def test_the_failure_of_a_run_that_stopped_before_its_statistics_is_kept() -> None:
    progress, _ = read(event("runner_on_failed", 1, host="one", task="try", res={"msg": "no"}))
    assert [failure.message for failure in progress.failures] == ["no"]


def test_a_result_that_ansible_runner_has_emptied_is_read_from_the_output() -> None:
    shown = '\x1b[0;31mfatal: [one]: FAILED! => {"changed": false, "msg": "no space left"}\x1b[0m'
    emptied = event("runner_on_failed", 1, host="one", task="copy", res={}) | {"stdout": shown}
    plain = event("runner_on_unreachable", 2, host="two", task="copy", res={}) | {"stdout": "gone"}
    progress, _ = read(emptied, plain)
    assert [failure.message for failure in progress.failures] == ["no space left", "gone"]
