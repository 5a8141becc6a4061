#!/bin/bash

# Both containers of a node may be here at once, as different users of one group.
mkdir -p /var/log/kolla/skydive
chmod 775 /var/log/kolla/skydive 2>/dev/null || true
