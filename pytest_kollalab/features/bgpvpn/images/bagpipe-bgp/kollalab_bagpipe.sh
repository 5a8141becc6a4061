#!/bin/bash
# Runs bagpipe-bgp for as long as Open vSwitch runs, and anew when that was restarted: the flows
# and groups are gone then, and the daemon would not notice. The Neutron agents notice a new daemon
# by themselves and tell it all they know.
set -u
bridge=$1
shift
# The daemon leaves the bridge with those versions only that it names itself, and others use others.
versions=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15
pid_file=/run/openvswitch/ovs-vswitchd.pid
mkdir -p /var/log/kolla/bagpipe-bgp
daemon=''
trap 'kill $daemon 2>/dev/null; wait; exit 0' TERM INT

# A trap is run when `wait` is interrupted, and not before the end of a plain sleep.
pause() { sleep 1 & wait $!; }

while :; do
    until ovs-vsctl --timeout=10 set bridge "$bridge" "protocols=$versions" &&
        ovs-ofctl -O "$versions" show "$bridge" >/dev/null; do pause; done
    switch=$(<"$pid_file")
    bagpipe-bgp "$@" &
    daemon=$!
    while [ "$(cat "$pid_file" 2>/dev/null)" = "$switch" ]; do
        if ! kill -0 "$daemon" 2>/dev/null; then
            echo "bagpipe-bgp has ended" >&2
            exit 1
        fi
        pause
    done
    echo "Open vSwitch was restarted, so bagpipe-bgp is" >&2
    kill "$daemon"
    wait "$daemon"
done
