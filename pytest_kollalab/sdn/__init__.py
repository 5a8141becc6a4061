"""The vocabulary of scenarios: tenants, probes, servers, flows, service chains."""
