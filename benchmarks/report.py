"""The report: a table, JSON and a plot of what was measured."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
# Figure -> what it is, at most how much it should be on a host with two cores.
MEANING: dict[str, tuple[str, str]] = {
    "image_build_seconds": ("images built from nothing", "480"),
    "image_build_vs_stock": ("... against plain kolla-build", "1"),
    "pull_seconds": ("images pulled by both nodes, the first time", ""),
    "transport_seconds": ("images to both nodes, any other time", "30"),
    "up_seconds": ("`kollalab up`, images cached", ""),
    "deploy_seconds": ("prechecks, deploy, health gate", "300"),
    "stock_prechecks_seconds": ("stock `kolla-ansible prechecks`", ""),
    "stock_deploy_seconds": ("stock `kolla-ansible deploy`, images there", ""),
    "deploy_vs_stock": ("ours against images, prechecks and deploy of stock", "0.5"),
    "changed_by_stock_deploy": ("lines changed by a stock deploy after ours", "0"),
    "restore_seconds": ("golden state brought back, until healthy", "40"),
    "rollback_vs_deploy": ("... against the deploy", ""),
    "destroy_seconds": ("`kollalab down`", "8"),
    "stock_destroy_seconds": ("stock `kolla-ansible destroy`", ""),
    "destroy_vs_stock": ("... against that", ""),
    "idle_overhead_seconds": ("a session that reuses all, over bare pytest", "2"),
    "second_lab_seconds": ("a second lab beside the first", "60"),
    "lab_memory_mb": ("memory of the lab, MiB", "4096"),
    "second_lab_memory_mb": ("memory of the second lab, MiB", "3584"),
}
PAIRS = (
    ("images", "image_build_seconds", "stock_image_build_seconds"),
    ("deploy", "deploy_seconds", "stock_all_seconds"),
    ("rollback, deploy", "restore_seconds", "deploy_seconds"),
    ("destroy", "destroy_seconds", "stock_destroy_seconds"),
    ("second lab, deploy", "second_lab_seconds", "deploy_seconds"),
)


def rows(figures: Mapping[str, float]) -> list[tuple[str, str, str, str]]:
    """Figure, what it is, how much, at most how much; in a fixed order."""
    return [
        (name, what, f"{figures[name]:g}", limit)
        for name, (what, limit) in MEANING.items()
        if name in figures
    ]


def table(figures: Mapping[str, float]) -> str:
    """The figures as a table of Markdown."""
    lines = ["| figure | what | measured | at most |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {what} | {value} | {limit} |" for name, what, value, limit in rows(figures)
    ]
    return "\n".join(lines)


def document(figures: Mapping[str, float], features: tuple[str, ...]) -> str:
    """The figures as JSON, with what they were measured on."""
    about = {
        "cores": os.cpu_count(),
        "features": list(features),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return json.dumps({**about, **figures}, indent=2) + "\n"


def put_into(page: str, text: str) -> str:
    """The page with the text between its two marks. Raises ValueError without them."""
    pattern = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no {BEGIN}")
    return pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page)


def plot(figures: Mapping[str, float], path: Path) -> None:
    """Draw ours beside what it is compared with, as SVG; on a scale of logarithms."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    known = [p for p in PAIRS if p[1] in figures and p[2] in figures]
    drawing, axes = pyplot.subplots(figsize=(8, 0.7 + 0.7 * len(known)), layout="constrained")
    for place, (_, ours, theirs) in enumerate(reversed(known)):
        for offset, name, colour in ((0.2, ours, "#1f77b4"), (-0.2, theirs, "#bbbbbb")):
            bars = axes.barh(place + offset, figures[name], height=0.38, color=colour)
            axes.bar_label(bars, [f"{figures[name]:.0f} s"], padding=3)
    axes.set_yticks(range(len(known)), [label for label, *_ in reversed(known)])
    axes.set_xscale("log")
    axes.set_xlabel("seconds; blue: ours, grey: what it is compared with")
    axes.margins(x=0.15)
    drawing.savefig(path, metadata={"Date": None})
    pyplot.close(drawing)
