"""Garbage collection: finds what nothing uses any more and removes it."""
