"""The feature `opendaylight`: a BGP controller beside Neutron."""
