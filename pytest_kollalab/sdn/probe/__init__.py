"""Probes: network namespaces plugged into Neutron ports, and what they can do."""
