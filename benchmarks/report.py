"""The report: a table, JSON and a plot of what was measured."""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.sdn.topology.palette import DARK, FRAME, INK, NETWORKS, PAPER, style

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
# What is drawn -> the figure of ours, that of stock Kolla where it has such a thing.
BARS: dict[str, tuple[str, str | None]] = {
    "images built": ("image_build_seconds", "stock_image_build_seconds"),
    "cloud deployed": ("deploy_seconds", "stock_all_seconds"),
    "second lab beside it": ("second_lab_seconds", None),
    "golden state brought back": ("restore_seconds", None),
    "lab removed": ("destroy_seconds", "stock_destroy_seconds"),
}
OURS, STOCK, NO_STOCK = "#0072b2", "#6b7785", "; stock Kolla has no such thing"


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
    """Draw ours beside stock Kolla as bars with their figures, as SVG; the scale is linear."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import patches, pyplot

    look: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "kollalab",
        "font.family": "sans-serif",
        "font.sans-serif": ["Arial", "Liberation Sans", "DejaVu Sans"],
        "font.size": 12,
        **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "axes.labelcolor"), INK),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), PAPER),
        "axes.edgecolor": FRAME,
    }
    known = [
        (label, figures[ours], stock and figures.get(stock), "" if stock else NO_STOCK)
        for label, (ours, stock) in BARS.items()
        if ours in figures
    ]
    with pyplot.rc_context(look):
        drawing, axes = pyplot.subplots(figsize=(9.5, 1.1 + 0.66 * len(known)))
        for place, (_, ours, stock, note) in enumerate(known):
            shift = 0.2 if stock is not None else 0
            for value, colour, at in ((ours, OURS, -shift), (stock, STOCK, shift)):
                if value is not None:
                    bars = axes.barh(place + at, value, height=0.38, color=colour)
                    axes.bar_label(bars, [f"{value:.0f} s{note}"], padding=4)
        axes.invert_yaxis()
        axes.set_yticks(range(len(known)), [label for label, *_ in known])
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_xlim(left=0)
        axes.margins(x=0.1)
        axes.set_xlabel("seconds")
        marks = [patches.Rectangle((0, 0), 1, 1, color=colour) for colour in (OURS, STOCK)]
        names = ["pytest-kollalab", "stock Kolla"]
        axes.legend(marks, names, loc="lower right", frameon=False)
        written = io.StringIO()
        drawing.savefig(written, format="svg", metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(drawing)
    path.write_text(themed(written.getvalue()), encoding="utf-8")


def themed(picture: str) -> str:
    """An SVG of matplotlib whose colours are others on a dark screen."""

    def attributes(found: re.Match[str]) -> str:
        parts = [part.strip() for part in found[1].split(";")]
        colours = [part for part in parts if re.fullmatch(r"(fill|stroke): #[0-9a-f]{6}", part)]
        given = "".join(' {}="{}"'.format(*part.split(": ")) for part in colours)
        return f'style="{"; ".join(part for part in parts if part not in colours)}"{given}'

    picture = re.sub(r'style="([^"]*)"', attributes, picture)
    sheet = style({**DARK, **NETWORKS})
    return picture.replace("<defs>", f"<style>{sheet}</style>\n <defs>", 1)
