"""Pictures measured: where the texts, boxes and lines of an SVG of Graphviz are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pytest_kollalab.sdn.topology import letters

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle, from its upper left corner to its lower right one."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def has(self, point: Point, *, slack: float = 0) -> bool:
        x, y = point
        return (
            self.left - slack <= x <= self.right + slack
            and self.top - slack <= y <= self.bottom + slack
        )

    def holds(self, other: Box) -> bool:
        return self.has((other.left, other.top)) and self.has((other.right, other.bottom))


@dataclass(frozen=True)
class Text:
    """A text and the rectangle of its letters."""

    text: str
    box: Box


@dataclass(frozen=True)
class Edge:
    """A line between two vertices, as points that are at most some pixels apart."""

    tail: str
    head: str
    kind: str
    points: tuple[Point, ...]


@dataclass
class Measured:
    """What is in a picture: all texts, vertices with their own texts, frames, and edges."""

    width: float
    height: float
    texts: list[Text] = field(default_factory=list)
    vertices: dict[str, Box] = field(default_factory=dict)
    rows: dict[str, list[Text]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def row(self, end: str, point: Point) -> tuple[str, str]:
        """The vertex of an edge's end, and the row of it whose middle the edge ends at."""
        name = max((name for name in self.vertices if end.startswith(name)), key=len)
        found = [
            row.text
            for row in self.rows[name]
            if abs((row.box.top + row.box.bottom) / 2 - point[1]) < 5
        ]
        return name, " ".join(found)

    @property
    def said(self) -> str:
        """All texts, each in a line of its own."""
        return "\n".join(text.text for text in self.texts)


def measured(picture: str) -> Measured:
    root = ET.fromstring(picture)
    found = Measured(_number(root, "width"), _number(root, "height"))
    _measure(root, (0, 0), found)
    return found


def _number(element: ET.Element, name: str) -> float:
    return float(re.sub(r"[a-z]+$", "", element.get(name, "0")))


def _measure(element: ET.Element, at: Point, found: Measured) -> None:
    moved = re.search(rf"translate\(({NUMBER})[ ,]+({NUMBER})\)", element.get("transform", ""))
    if moved:
        at = (at[0] + float(moved[1]), at[1] + float(moved[2]))
    kind, _, rest = element.get("class", "").partition(" ")
    name = element.findtext(f"{SVG}title", "")
    if kind == "node":
        found.rows[name] = list(_texts(element, at))
        found.vertices[name] = _bounds(element, at)
        found.kinds[name] = rest
    elif kind == "edge":
        tail, _, head = name.partition("->")
        paths = [path.get("d", "") for path in element.iter(f"{SVG}path")]
        points = tuple(point for path in paths for point in _along(path, at))
        found.edges.append(Edge(tail, head, rest, points))
    if element.tag == f"{SVG}text":
        found.texts += _texts(element, at)
    for child in element:
        _measure(child, at, found)


def _texts(element: ET.Element, at: Point) -> Iterator[Text]:
    for each in element.iter(f"{SVG}text"):
        text = (each.text or "").replace("\xa0", " ").rstrip()
        if not text:
            continue
        size = _number(each, "font-size") or 14
        width = letters.width(text, size, bold=each.get("font-weight") == "bold")
        x, y = at[0] + _number(each, "x"), at[1] + _number(each, "y")
        x -= {"middle": width / 2, "end": width}.get(each.get("text-anchor", ""), 0)
        # Letters without the spaces around them.
        before = len(text) - len(text.lstrip())
        yield Text(
            text.strip(),
            Box(x + before * size * 0.278, y - 0.72 * size, x + width, y + 0.2 * size),
        )


def _bounds(element: ET.Element, at: Point) -> Box:
    points = [
        point
        for each in element.iter()
        for numbers in [each.get("points") or each.get("d") or ""]
        for point in _points(numbers, at)
    ]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _points(text: str, at: Point) -> list[Point]:
    numbers = [float(number) for number in re.findall(NUMBER, text)]
    return [(at[0] + x, at[1] + y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def _along(path: str, at: Point) -> Iterator[Point]:
    """Points on a path of Graphviz: a start and cubic curves."""
    start, *rest = _points(path, at)
    yield start
    for one, two, end in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        for step in range(1, 101):
            yield _curve(start, one, two, end, step / 100)
        start = end


def _curve(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    parts = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    x, y = (
        sum(part * point[axis] for part, point in zip(parts, (a, b, c, d), strict=True))
        for axis in (0, 1)
    )
    return (x, y)


def overlapping(texts: Sequence[Text]) -> list[tuple[str, str]]:
    """The texts that are over each other."""
    return [
        (one.text, other.text)
        for number, one in enumerate(texts)
        for other in texts[:number]
        if one.box.overlaps(other.box)
    ]


def crossed(edges: Sequence[Edge], texts: Sequence[Text]) -> list[tuple[str, str]]:
    """The edges that pass through a text, with that text."""
    return [
        (f"{edge.tail} -> {edge.head}", text.text)
        for edge in edges
        for text in texts
        if any(text.box.has(point) for point in edge.points)
    ]


def crossings(edges: Sequence[Edge]) -> list[tuple[str, str]]:
    """The pairs of edges that cross; edges that share an end do not."""
    return [
        (f"{one.tail} -> {one.head}", f"{other.tail} -> {other.head}")
        for number, one in enumerate(edges)
        for other in edges[:number]
        if not {one.points[0], one.points[-1]} & {other.points[0], other.points[-1]}
        and _cross((one.points[0], one.points[-1]), (other.points[0], other.points[-1]))
    ]


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    def side(line: tuple[Point, Point], point: Point) -> float:
        (ax, ay), (bx, by) = line
        return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)

    return (
        side(one, other[0]) * side(one, other[1]) < 0
        and side(other, one[0]) * side(other, one[1]) < 0
    )


def contrast(one: str, other: str) -> float:
    """How well a colour is seen on another, as WCAG has it: from 1 to 21."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
