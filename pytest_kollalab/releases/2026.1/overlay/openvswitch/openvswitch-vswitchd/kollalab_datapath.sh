#!/bin/bash
# Sourced by the start script in place of its bare modprobe: where the kernel has no openvswitch
# module, the bridges that others add without naming a datapath are made as userspace ones first.

if ! modprobe openvswitch 2>/dev/null; then
    for bridge in br-ex br-mpls br-phy; do
        ovs-vsctl --no-wait --may-exist add-br "$bridge" \
            -- set bridge "$bridge" datapath_type=netdev
    done
fi
