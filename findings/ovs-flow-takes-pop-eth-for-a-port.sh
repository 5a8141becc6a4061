#!/usr/bin/env bash
# Open vSwitch's own parser of flows, ovs.flow, cannot read what Open vSwitch writes for a service chain with NSH.
#
# A good guess: ODPFlow of the Python package `ovs` reads every line of `ovs-appctl dpctl/dump-flows`, as both are of one project. Seen with ovs 4.0.0 of
# PyPI and Open vSwitch 3.5.0 of Debian 13: `push_eth(...)`, with which the switch completes a packet behind `encap(nsh),encap(ethernet)`, is a ParseError. Worse,
# `pop_eth`, with which it takes NSH off, is read without an error as an output to a port named pop_eth. Both actions were put among the arguments of
# `userspace` (ovs/flow/odp.py, _action_decoders_args), so they are known only there. Packets that come from or go to a port without Ethernet (VXLAN-GPE, GRE of layer 3)
# have these actions too.
#
# Output seen:
#   the switch: push_nsh(...),push_eth(...),p2 -> ParseError
#   the switch: pop_eth,pop_nsh(),recirc(N) -> output to pop_eth, pop_nsh, recirc
# Needs root, mmdebstrap and unshare. The datapath is Open vSwitch's own in userspace, with dummy ports.
set -euo pipefail
folder=$(mktemp -d)
trap 'umount -l "$folder/root/proc" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=openvswitch-switch,iproute2,mount trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
version=$(chroot "$folder/root" dpkg-query -W -f '${Version}' openvswitch-switch)
[[ $version == 3.5.* ]] || { echo "this is about Open vSwitch 3.5, and $version is what there is now" >&2; exit 1; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'ovs[flow]==4.0.0' pyparsing==3.3.3 netaddr==1.3.0
cat > "$folder/root/tmp/ask" <<'ASK'
set -eu
mount -t proc proc /proc
ip link set lo up 2> /dev/null || true
export OVS_RUNDIR=/tmp/run OVS_LOGDIR=/tmp/run OVS_DBDIR=/tmp/run
mkdir /tmp/run
ovsdb-tool create /tmp/run/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /tmp/run/conf.db --remote=punix:/tmp/run/db.sock --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
ovs-vsctl --no-wait init
ovs-vswitchd --enable-dummy=override --disable-system --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols=OpenFlow13
for port in 1 2; do
    ovs-vsctl add-port br0 p$port -- set interface p$port type=dummy ofport_request=$port
done
add() { ovs-ofctl -O OpenFlow13 add-flow br0 "$1"; }
add 'in_port=1,ip,actions=encap(nsh(md_type=1)),set_field:5->nsh_spi,set_field:255->nsh_si,encap(ethernet),set_field:02:00:00:00:00:02->eth_dst,output:2'
add 'in_port=2,dl_type=0x894f,nsh_mdtype=1,nsh_spi=5,nsh_si=255,actions=decap(),decap(),output:1'
# A UDP packet, and the same behind a network service header.
packet=02000000000902000000000108004500002100010000401166c90a0000010a00000200010002000da7fc68656c6c6f
header=020000000002020000000001894f0fc60103000005ff00000000000000000000000000000000
ovs-appctl netdev-dummy/receive p1 $packet
ovs-appctl netdev-dummy/receive p2 $header$packet
for try in $(seq 40); do
    ovs-appctl dpctl/dump-flows --names | grep actions > /tmp/flows || true
    grep -q push_nsh /tmp/flows && grep -q pop_nsh /tmp/flows && break
    sleep 0.25
done
ovs-appctl -t ovs-vswitchd exit
ovs-appctl -t ovsdb-server exit
ASK
unshare --mount --net --pid --fork chroot "$folder/root" bash /tmp/ask
cat > "$folder/read.py" <<'PYTHON'
import re
import sys

from ovs.flow.kv import ParseError
from ovs.flow.odp import ODPFlow


def read(line):
    try:
        actions = ODPFlow(line.strip()).actions
    except ParseError:
        return "ParseError"
    return ", ".join(f"output to {each['output']['port']}" if "output" in each else next(iter(each)) for each in actions)


for line in sorted(open(sys.argv[1]), key=lambda each: "pop_nsh" in each):
    said = line.strip().partition("actions:")[2]
    if "nsh" in said:
        shown = re.sub(r"recirc\(\w+\)", "recirc(N)", re.sub(r"(push_\w+)\([^)]*\)", r"\1(...)", said))
        print(f"the switch: {shown} -> {read(line)}")
PYTHON
said=$("$folder/venv/bin/python" "$folder/read.py" "$folder/root/tmp/flows")
echo "$said"
[[ $said == *'push_eth(...),p2 -> ParseError'* && $said == *'pop_eth,pop_nsh(),recirc(N) -> output to pop_eth, pop_nsh, recirc'* ]] ||
    { echo "these versions do something else" >&2; exit 1; }
