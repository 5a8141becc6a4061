"""The command line as a module: `python -m pytest_kollalab.cli`."""

from __future__ import annotations

from pytest_kollalab.cli import main

main(prog_name="kollalab")
