"""Garbage collection: what nothing uses any more, and its removal."""
