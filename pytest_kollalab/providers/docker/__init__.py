"""Nodes as systemd containers."""
