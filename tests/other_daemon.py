"""A second docker daemon on this host, which tests may stop and start."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest
import requests

from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import HostError
from pytest_kollalab.system.wait import NotYet, until

# Of its default bridge, on which nothing is.
ADDRESS = "192.0.2.1/24"


class OtherDaemon:
    """A daemon with nothing in it, that leaves the packet filter of this host alone.

    Args:
        folder: Its folder. The path of its socket must be short.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"unix://{folder}/sock"
        # With no default bridge it would remove that of the host's daemon.
        self.bridge = f"klt-{secrets.token_hex(2)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it answers."""
        if self._process is None:
            add = ["ip", "link", "add", self.bridge, "type", "bridge"]
            subprocess.run(add, check=True)
            add = ["ip", "address", "add", ADDRESS, "dev", self.bridge]
            subprocess.run(add, check=True)
        folder = self.folder
        argv = ["dockerd", "--host", self.uri, "--data-root", f"{folder}/data"]
        argv += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        argv += ["--bridge", self.bridge]
        argv += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        with (folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(argv, stderr=log)

        def answers() -> bool | NotYet:
            if process.poll() is not None:
                pytest.fail(f"dockerd ended: {(folder / 'log').read_text()[-2000:]}")
            try:
                return daemon.connect(uri=self.uri).ping()
            except HostError as error:
                return NotYet(error.details)
            except requests.exceptions.ConnectionError as error:
                # What connects is kept, also while the daemon does not run.
                return NotYet(str(error))

        until("the other daemon answers", answers, timeout=60, interval=0.2)

    def stop(self) -> None:
        """Stop it, and its containers with it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=120)

    def remove(self) -> None:
        """Stop it for good."""
        if self._process is None:
            return
        self.stop()
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        # It leaves the network namespace of the host bound to a name.
        for bound in self.folder.glob("exec/netns/*"):
            subprocess.run(["umount", bound], check=True)
