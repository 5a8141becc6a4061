"""Names that are as long as what they are for allows."""

from __future__ import annotations

from hashlib import sha256

DIGEST = 8


def fitting(name: str, longest: int) -> str:
    """Cut a name that is too long; a digest of the whole name keeps it unique.

    Args:
        name: The name.
        longest: The most bytes that it may have in UTF-8; more than 9.
    """
    if len(name.encode()) <= longest:
        return name
    digest = sha256(name.encode()).hexdigest()[:DIGEST]
    kept = name.encode()[: longest - DIGEST - 1].decode(errors="ignore").rstrip("-")
    return f"{kept}-{digest}"
