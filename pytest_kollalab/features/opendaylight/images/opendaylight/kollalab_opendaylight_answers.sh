#!/bin/sh
# [ADDRESS]: whether RESTCONF serves the BGP speaker there, by default at its address in the lab.
# Refused, 404 and 401 are what is seen while it starts.
instance=openconfig-network-instance:network-instances/network-instance=global-bgp
exec curl -q -sS --fail --max-time 20 --output /dev/null --config /etc/opendaylight/login \
    "${1:-$(sed -n '1s/^# //p' /etc/opendaylight/login)}/rests/data/$instance"
