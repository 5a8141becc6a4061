#!/bin/bash
# What Kolla's images tacker-base and tacker-server do before the service starts.
mkdir -p /var/log/kolla/tacker
chmod 755 /var/log/kolla/tacker

# Kolla-Ansible runs a container with this variable, even an empty one, once and before all others.
if [[ "${!KOLLA_BOOTSTRAP[@]}" ]]; then
    tacker-db-manage --config-file /etc/tacker/tacker.conf upgrade head
    exit 0
fi
