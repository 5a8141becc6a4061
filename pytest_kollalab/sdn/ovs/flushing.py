"""Flushing: flows that are taken away for a while and put back, as after a fault of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.sdn.ovs.flows import ENTER, OPENFLOW

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# The node itself waits: how long a command takes to get there is not part of it. A table of its own
# tells the agent whether somebody has emptied the switch, so never all tables. Whatever ends the
# script, the flows are put back.
FLUSH = f"""
{ENTER} sh -euc '
    folder=$(mktemp -d)
    trap "rm -rf $folder" EXIT
    ofctl() {{ ovs-ofctl -O "$0" --names "$@"; }}
    ofctl --no-stats dump-flows "$1" "table=$2" > "$folder/all"
    grep -F actions= "$folder/all" | grep -F -- "$3" > "$folder/flows"
    sed -E "s/cookie=[^,]*, //; s/table=[0-9]+, //; s/ *actions=.*//; s/^ */table=$2,/" \\
        "$folder/flows" > "$folder/matches"
    trap "ofctl add-flows \\"$1\\" $folder/flows; rm -rf $folder" EXIT
    trap "exit 1" HUP INT TERM
    ofctl --strict del-flows "$1" - < "$folder/matches"
    began=$(date +%s%N)
    sleep "$4"
    ofctl add-flows "$1" "$folder/flows"
    echo "$(($(date +%s%N) - began))"' "$@"
"""


def flush(
    ssh: Ssh, node: str, bridge: str, *, table: int = 0, holding: str = "", seconds: float = 2.0
) -> float:
    """Take flows of a table away, wait, and put them back.

    Args:
        ssh: Runs commands on the node.
        node: The node.
        bridge: The bridge.
        table: The number of the table.
        holding: Only flows with this text in them, such as the name of a port.
        seconds: How long they are away.

    Returns:
        How long they really were, in seconds.

    Raises:
        CommandError: There are no such flows.
    """
    words = [OPENFLOW, bridge, str(table), holding, f"{seconds:g}"]
    done = ssh.run(node, ["sh", "-eu", "-s", "--", *words], input=FLUSH, timeout=60 + seconds)
    return int(done.stdout) / 1e9
