"""Captured packets: how they are taken and read."""
