"""Flows that are taken away and put back: the script on the node, on a switch of text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_kollalab.sdn.ovs.flushing import flush
from pytest_kollalab.system.errors import CommandError
from pytest_kollalab.system.run import Result, run
from pytest_kollalab.system.ssh import Ssh

FLOWS = """\
 cookie=0x1, priority=30,ip,in_port="tapabc",nw_src=10.0.0.1 actions=group:1
 cookie=0x1, priority=0 actions=resubmit(,59)
"""
NSENTER = '#!/bin/sh\nwhile [ "$1" != sh ]; do shift; done\nexec "$@"\n'
OFCTL = """\
#!/bin/sh
here=$(dirname "$0")
case "$*" in
    *dump-flows*) cat "$here/flows" ;;
    *del-flows*) echo "${*%-}" >> "$here/log"; sed 's/^/del: /' >> "$here/log" ;;
    *add-flows*) for last; do :; done; sed 's/^ */add: /' "$last" >> "$here/log" ;;
esac
"""


class HereSsh:
    """Runs commands on this host, with programs of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("nsenter", NSENTER), ("ovs-ofctl", OFCTL), ("pgrep", "#!/bin/sh\n")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "flows").write_text(FLOWS)

    def run(self, node: str, argv: Sequence[str], **options: Any) -> Result:
        return run(argv, env={"PATH": f"{self.folder}:{os.environ['PATH']}"}, **options)

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []


def test_just_the_flows_that_hold_a_text_go_and_come_back(tmp_path: Path) -> None:
    ssh = HereSsh(tmp_path)
    seconds = flush(cast(Ssh, ssh), "node", "br-int", holding="tapabc", seconds=0.1)
    assert seconds >= 0.1
    asked, gone, *back = ssh.log
    assert asked.split() == "-O OpenFlow13 --names --strict del-flows br-int".split()
    assert gone == 'del: table=0,priority=30,ip,in_port="tapabc",nw_src=10.0.0.1'
    # Once, and once more for whatever may have ended the script.
    added = 'add: cookie=0x1, priority=30,ip,in_port="tapabc",nw_src=10.0.0.1 actions=group:1'
    assert back == [added] * 2


def test_all_flows_of_a_table(tmp_path: Path) -> None:
    ssh = HereSsh(tmp_path)
    flush(cast(Ssh, ssh), "node", "br-int", table=0, seconds=0)
    assert [line for line in ssh.log if line.startswith("del: ")][-1] == "del: table=0,priority=0"


def test_nothing_is_taken_away_if_there_is_no_such_flow(tmp_path: Path) -> None:
    ssh = HereSsh(tmp_path)
    with pytest.raises(CommandError):
        flush(cast(Ssh, ssh), "node", "br-int", holding="tapnone", seconds=0)
    assert ssh.log == []
