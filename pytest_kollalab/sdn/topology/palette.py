"""The colours of pictures, for light and dark pages and for paper."""

from __future__ import annotations

from collections.abc import Mapping

PAPER, NODE, BRIDGE = "#ffffff", "#f6f8fa", "#e3eaf1"
INK, MUTED, LINE, FRAME = "#1f2328", "#57606a", "#6b7785", "#a3acb5"
TUNNEL = "#24292e"
# What is on the dead VLAN, and nothing else.
DEAD = "#c01c28"
# The same in the dark; colours that can be distinguished with colour blindness.
DARK = {
    PAPER: "#0d1117",
    NODE: "#161b22",
    BRIDGE: "#243244",
    INK: "#e6edf3",
    MUTED: "#a8b3bf",
    LINE: "#8b97a5",
    FRAME: "#59636e",
    TUNNEL: "#f0f3f6",
    DEAD: "#ff7b72",
}
NETWORKS = {
    "#0072b2": "#58b4f0",
    "#bd4b00": "#ff8a3d",
    "#00785a": "#2fc79b",
    "#a8447f": "#e58cc0",
    "#7f6000": "#d8b33c",
    "#4b3fa8": "#a79dff",
    "#8a2c2c": "#f08080",
    "#3f6f1f": "#93c96b",
}
CHAINS = {"#b00020": "#ff6b81", "#6b2fb3": "#c79bff", "#006f7a": "#4dd0dc", "#9a4a00": "#ffb066"}


ALL = {**DARK, **NETWORKS, **CHAINS}


def style(colours: Mapping[str, str] = ALL) -> str:
    """A style sheet that exchanges the colours of an SVG on a dark screen, and not on paper.

    Args:
        colours: The colours of the SVG, and what they are in the dark.
    """
    rules = [
        f'[{part}="{light}"] {{ {part}: {dark} }}'
        for light, dark in colours.items()
        for part in ("fill", "stroke")
    ]
    rules.append(f"svg {{ background: {DARK[PAPER]} }}")
    return "\n".join(
        [
            f"svg {{ background: {PAPER} }}",
            "@media screen and (prefers-color-scheme: dark) {",
            *rules,
            "}",
        ]
    )
