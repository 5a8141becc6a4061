"""Runs commands, given as a list of arguments, and logs them with secrets masked."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from pytest_kollalab.system import environment, files
from pytest_kollalab.system.errors import CommandError, HostError

log = logging.getLogger(__name__)

MASK = "********"
TAIL = 20
END_TIMEOUT = 10.0


@dataclass(frozen=True)
class Result:
    """The outcome of a command."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    input: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    secrets: Iterable[str] = (),
    log_file: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Result:
    """Run a command to its end.

    With `log_file` or `on_line`, standard error is merged into standard output, which is passed on
    line by line while the command runs.

    Args:
        argv: The command and its arguments.
        check: Raise CommandError if the exit code is not 0.
        input: The standard input.
        env: Variables to add to the environment of child processes.
        cwd: The working directory.
        timeout: In seconds.
        secrets: Texts to mask in logs and errors, and in output that is passed on.
        log_file: The file to append the command and its output to.
        on_line: Called with each line of output, without its newline.

    Raises:
        CommandError: The command failed or took too long.
        HostError: The program is not installed.
    """
    words = [str(word) for word in argv]
    hidden = [secret for secret in secrets if secret]
    pasteable = mask(shlex.join(words), hidden)
    log.debug("$ %s", pasteable)
    started = time.monotonic()
    streaming = log_file is not None or on_line is not None
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if streaming else subprocess.PIPE,
            env={**environment.of_children(), **(env or {})},
            cwd=cwd,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise
        raise HostError(
            f"{words[0]} is not installed",
            details=f"needed for: {pasteable}",
            hint="run `kollalab bootstrap`, or install the package that has it",
        ) from error
    data = input.encode() if isinstance(input, str) else input
    with process:
        try:
            if streaming:
                stdout = _stream(process, data, timeout, log_file, on_line, hidden, pasteable)
                stderr = ""
            else:
                out, err = process.communicate(data, timeout=timeout)
                stdout, stderr = out.decode(errors="replace"), err.decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise CommandError(
                f"{words[0]} did not end within {timeout:.0f} s",
                details=f"$ {pasteable}",
                log=log_file,
            ) from error
        except BaseException:
            # End the command also after Ctrl-C or an error in a callback.
            _end(process)
            raise
    result = Result(tuple(words), process.returncode, stdout, stderr, time.monotonic() - started)
    log.debug("%s ended with %d after %.1f s", words[0], result.returncode, result.seconds)
    if check and result.returncode != 0:
        said = mask((stderr or stdout).strip(), hidden)
        raise CommandError(
            f"{Path(words[0]).name} failed with exit code {result.returncode}",
            details="\n".join([f"$ {pasteable}", *said.splitlines()[-TAIL:]]),
            log=log_file,
        )
    return result


def become(argv: Sequence[str | Path]) -> NoReturn:
    """Replace this process by a command, which takes over the terminal.

    Raises:
        HostError: The program is not installed.
    """
    words = [str(word) for word in argv]
    log.debug("$ %s", shlex.join(words))
    try:
        os.execvp(words[0], words)
    except FileNotFoundError as error:
        raise HostError(
            f"{words[0]} is not installed",
            hint="run `kollalab bootstrap`, or install the package that has it",
        ) from error


def connect(argv: Sequence[str], end: socket.socket) -> Callable[[], int]:
    """Start a program with a socket as its standard input and output.

    Returns:
        A function that waits until the program ends and returns its exit code.
    """
    started = subprocess.Popen(
        argv, stdin=end.fileno(), stdout=end.fileno(), env=environment.of_children()
    )
    return started.wait


def _end(process: subprocess.Popen[bytes]) -> None:
    # Terminate first, so that the program can clean up, for example unmount file systems.
    process.terminate()
    try:
        process.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each of the secrets replaced."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _stream(
    process: subprocess.Popen[bytes],
    data: bytes | None,
    timeout: float | None,
    log_file: Path | None,
    on_line: Callable[[str], None] | None,
    hidden: Sequence[str],
    pasteable: str,
) -> str:
    feeder: threading.Thread | None = None
    if data is not None:
        feeder = threading.Thread(target=_feed, args=(process, data), daemon=True)
        feeder.start()
    timed_out = threading.Event()
    timer: threading.Timer | None = None
    if timeout is not None:

        def expire() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
    sink: IO[str] | None = None
    lines: list[str] = []
    try:
        if log_file is not None:
            files.private(log_file.parent)
            sink = log_file.open("a", encoding="utf-8")
            sink.write(f"$ {pasteable}\n")
        assert process.stdout is not None
        for raw in process.stdout:
            line = mask(raw.decode(errors="replace"), hidden)
            lines.append(line)
            if sink is not None:
                sink.write(line)
                sink.flush()
            if on_line is not None:
                on_line(line.rstrip("\n"))
        process.wait()
    finally:
        if timer is not None:
            timer.cancel()
        if sink is not None:
            sink.close()
    if timed_out.is_set():
        raise subprocess.TimeoutExpired(process.args, timeout or 0.0)
    return "".join(lines)


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass  # The command ended without reading all input. Its exit code shows whether it failed.
