"""Kolla images: base image, sources, builds and the registry that stores them."""

from __future__ import annotations

NAMESPACE = "kolla"
