"""pytest-kollalab: a fresh, containerized OpenStack for SDN scenario tests."""

from __future__ import annotations

__version__ = "0.1.0"
