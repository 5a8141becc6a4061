"""Servers: Nova, Glance and Placement."""
