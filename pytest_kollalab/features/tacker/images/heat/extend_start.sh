#!/bin/bash
# What Kolla's images heat-base and heat-api do before the service starts.
mkdir -p /var/log/kolla/heat
chmod 755 /var/log/kolla/heat

# Kolla-Ansible runs a container with this variable, even an empty one, once and before all others.
if [[ "${!KOLLA_BOOTSTRAP[@]}" ]]; then
    heat-manage db_sync
    if ! openstack domain list -f value -c Name | grep -qx heat_user_domain; then
        openstack domain create heat_user_domain
        openstack user create --domain heat_user_domain heat_domain_admin \
            --password "$HEAT_DOMAIN_ADMIN_PASSWORD"
        openstack role add --domain heat_user_domain --user-domain heat_user_domain \
            --user heat_domain_admin admin
    fi
    exit 0
fi
