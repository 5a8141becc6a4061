"""Kolla images: their base, their sources, how they are built, and the registry that keeps them."""

from __future__ import annotations

# Every image of ours says so, for whoever looks for them.
LABEL = "kollalab.stage"
LABELS = {LABEL: "images"}
NAMESPACE = "kolla"
