"""run(): output, exit codes, deadlines, secrets."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pytest_kollalab.system.errors import CommandError, HostError
from pytest_kollalab.system.run import MASK, mask, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_is_split_by_stream() -> None:
    result = run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "err\n", 0)


def test_input_and_environment_reach_the_command() -> None:
    code = (
        "import os, sys; print(sys.stdin.read() + os.environ['WORD'] + str('PATH' in os.environ))"
    )
    assert run(python(code), input="a", env={"WORD": "b"}).stdout == "abTrue\n"


def test_no_terminal_and_no_input_is_an_empty_input() -> None:
    assert run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_a_failure_shows_the_command_and_what_it_said() -> None:
    with pytest.raises(CommandError) as caught:
        run(python("import sys; print('it is full', file=sys.stderr); sys.exit(3)"))
    assert "exit code 3" in caught.value.brief
    assert "it is full" in caught.value.details
    assert caught.value.details.startswith("$ ")


def test_a_failure_may_be_an_answer() -> None:
    assert run(python("raise SystemExit(4)"), check=False).returncode == 4


def test_a_missing_program_is_the_hosts_fault() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed"):
        run(["no-such-program"])


def test_a_deadline_ends_the_command() -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match="did not end within"):
        run(python("import time; time.sleep(60)"), timeout=0.3)
    assert time.monotonic() - started < 30


def test_a_deadline_ends_a_streaming_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandError) as caught:
        run(python("import time; print(1, flush=True); time.sleep(60)"), timeout=0.5, log_file=log)
    assert caught.value.log == log


def test_lines_are_passed_on_and_logged(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "deep" / "log"
    result = run(python("print('a'); print('b')"), on_line=seen.append, log_file=log)
    assert seen == ["a", "b"]
    assert result.stdout == "a\nb\n"
    assert log.read_text().splitlines()[1:] == ["a", "b"]


def test_secrets_are_in_no_message_and_no_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandError) as caught:
        run(
            python("import sys; print('pass is hunter2'); sys.exit('hunter2 refused')"),
            secrets=["hunter2", ""],
            log_file=log,
        )
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in log.read_text()
    assert MASK in log.read_text()


def test_secrets_are_masked_in_the_message_of_a_quiet_command() -> None:
    with pytest.raises(CommandError) as caught:
        run(python("import sys; sys.exit('hunter2 refused')"), secrets=["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_mask_replaces_each_secret() -> None:
    assert mask("a b a", ["a", "b"]) == f"{MASK} {MASK} {MASK}"
