"""Nodes as virtual machines."""
