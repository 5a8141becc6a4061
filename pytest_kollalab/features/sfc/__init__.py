"""Service function chaining: networking-sfc in Neutron."""
