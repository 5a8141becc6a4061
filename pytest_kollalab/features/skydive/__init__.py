"""Skydive: what the network really does, as an analyzer and an agent on each node."""
