"""Suggestions for unknown words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint with the most similar known word.

    Args:
        word: The unknown word.
        known: The known words.
        otherwise: The hint if none of them is similar. By default it lists all known words.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise or f"known: {', '.join(choices)}"
