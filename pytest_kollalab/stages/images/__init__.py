"""Kolla images: their base, their sources, how they are built, and the registry that keeps them."""

from __future__ import annotations

NAMESPACE = "kolla"
