#!/bin/bash
# Runs FRR in a network namespace of its own on the node: a reflector that had the node's addresses
# would refuse each route that leads to the node, as one to itself.
set -eu
namespace=$1 device=$2 address=$3 mtu=$4

mkdir -p /var/log/kolla/frr /run/frr
chown frr:frr /var/log/kolla/frr /run/frr
[ -e "/run/netns/$namespace" ] || ip netns add "$namespace"
# The outer end is a port of the bridge with the tunnel network, for which the deploy cares.
if ! ip link show "$device" >/dev/null 2>&1; then
    ip link add "$device" type veth peer name tunnel netns "$namespace"
fi
ip link set "$device" mtu "$mtu" up
ip -n "$namespace" link set lo up
ip -n "$namespace" link set tunnel mtu "$mtu" up
ip -n "$namespace" address replace "$address" dev tunnel
# Userspace Open vSwitch passes on what it reads: checksums have to be finished before.
ethtool -K "$device" tx off >/dev/null
ip netns exec "$namespace" ethtool -K tunnel tx off >/dev/null
exec ip netns exec "$namespace" /usr/lib/frr/watchfrr zebra mgmtd bgpd staticd
