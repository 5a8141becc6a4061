"""What a cloned node does before its services start: it tells OVN that it is elsewhere."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

SCRIPT = files("pytest_kollalab.providers.docker") / "restored" / "moved"
DOCKER = """\
#!/bin/sh
echo "$*" | head -n 1 >> "$LOG"
case "$*" in
"inspect --format {{.Image}} ovn_"*) [ -n "$OVN" ] && echo sha256:ovn ;;
*ovn-remote) echo "$OVN" ;;
run*)
    while [ $# -gt 2 ]; do shift; done
    echo "given: $*" >> "$LOG"
    ;;
esac
"""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with commands that write down what they are asked."""
    for name, text in {
        "docker": DOCKER,
        "getent": "#!/bin/sh\necho 10.70.1.11 STREAM controller-1\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "kollalab" / "moved").mkdir(parents=True)
    (tmp_path / "kollalab" / "node.env").write_text("UNDERLAY_ADDRESS=10.70.3.12/24\n")
    return tmp_path


def moved(node: Path, remote: str) -> list[str]:
    """Run the script, and return what docker was asked."""
    text = SCRIPT.read_text(encoding="utf-8").replace("/etc/kollalab", str(node / "kollalab"))
    log = node / "log"
    path = f"{node}:{os.environ['PATH']}"
    environment = {"PATH": path, "LOG": str(log), "OVN": remote}
    subprocess.run(["sh", "-c", text], env=environment, check=True, timeout=30)
    return log.read_text().splitlines()


def test_ovns_databases_are_made_anew_at_the_new_address(node: Path) -> None:
    asked = moved(node, '"tcp:10.64.1.11:6642"')
    runs = [line for line in asked if line.startswith("run")]
    assert [line.split()[5] for line in runs] == ["ovn_nb_db", "ovn_sb_db"]
    given = [line for line in asked if line.startswith("given")]
    assert [line.split()[-2:] for line in given] == [
        ["/var/lib/openvswitch/ovn-nb/ovnnb.db", "tcp:10.70.1.11:6643"],
        ["/var/lib/openvswitch/ovn-sb/ovnsb.db", "tcp:10.70.1.11:6644"],
    ]


def test_a_node_is_told_where_ovn_is_and_where_it_is_itself(node: Path) -> None:
    (told,) = [line for line in moved(node, '"tcp:10.64.1.11:6642"') if "set open_vswitch" in line]
    assert 'external_ids:ovn-remote="tcp:10.70.1.11:6642"' in told
    assert 'external_ids:ovn-encap-ip="10.70.3.12"' in told
    assert not (node / "kollalab" / "moved").exists()


def test_a_cloud_without_ovn_is_asked_and_left_alone(node: Path) -> None:
    asked = moved(node, "")
    assert not [line for line in asked if line.startswith("run") or " set " in line]
    assert not (node / "kollalab" / "moved").exists()
