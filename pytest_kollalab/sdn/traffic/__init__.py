"""Traffic over time: streams between probes, and what happened to their packets."""
