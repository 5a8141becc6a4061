"""The picture of a watch: a lane for each stream with its gaps, and what happened, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pytest_kollalab.sdn.traffic.analysis import Gap, StreamResult
from pytest_kollalab.sdn.traffic.happenings import (
    DOCKER,
    ENDED,
    FLOWS,
    LOG,
    NOTE,
    TASK,
    Happening,
)

SVG = "http://www.w3.org/2000/svg"
WIDTH, LEFT, RIGHT, TOP = 1000, 250, 24, 56
LANE, BAR, ROW, LINE = 40, 16, 20, 17
# The least width of what is drawn: a gap of 40 ms in an hour is still seen.
LEAST = 2.0
# Seconds between the beginnings of gaps that are listed together.
SAME = 0.5
# Pixels between two labels in a lane.
LABEL = 46
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_TICKS = 12
LETTERS = 160
HEADINGS = {
    NOTE: "noted by the test",
    TASK: "tasks of Ansible",
    DOCKER: "containers",
    FLOWS: "flow tables",
    LOG: "logs",
    ENDED: "not seen any more",
}
# Told apart without colours too: what arrived is light, a gap is hatched, a bypass is black.
STYLE = """\
text { font: 12px sans-serif; fill: #111 } .small { font-size: 11px; fill: #333 }
.title { font-size: 16px; font-weight: bold } .name { font-weight: bold }
.flow { fill: #9ecae1; stroke: #3a6f8f; stroke-width: .5 } .lost { fill: url(#hatch); stroke: #a00 }
.late { fill: #fff; stroke: #a00; stroke-dasharray: 2 2 } .around { fill: #000 }
.grid { stroke: #ccc; stroke-width: .7 } .axis { stroke: #333 } .event { stroke: #333 }
.span { fill: #ddd; stroke: #777; stroke-width: .7 }
.number { font-size: 11px; font-weight: bold }"""
HATCH = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="5" height="5" fill="#fff"/>'
    '<rect width="2.2" height="5" fill="#c00"/></pattern></defs>'
)


@dataclass(frozen=True)
class Scale:
    """Where a moment is drawn."""

    began: float
    ended: float

    def x(self, moment: float) -> float:
        """The place of a time, in pixels; what is outside is at the edge."""
        width = WIDTH - LEFT - RIGHT
        part = (moment - self.began) / max(self.ended - self.began, 1e-9)
        return LEFT + width * min(max(part, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """The labelled moments, in seconds since the beginning."""
        span = self.ended - self.began
        step = next((each for each in TICKS if span / each <= MOST_TICKS), TICKS[-1])
        return [number * step for number in range(int(span / step) + 1)]


def svg(
    results: Sequence[StreamResult],
    happenings: Sequence[Happening],
    began: float,
    ended: float,
    *,
    title: str,
    notes: Sequence[str] = (),
) -> str:
    """Draw streams over time.

    Args:
        results: The results of the streams.
        happenings: What happened.
        began: The left end of the picture, in seconds since 1970.
        ended: The right end.
        title: The title.
        notes: Lines below the picture.
    """
    scale = Scale(began, ended)
    groups = grouped(results)
    numbers = {id(gap): number for number, group in enumerate(groups, 1) for _, gap in group}
    bottom = TOP + LANE * len(results)
    kinds = [kind for kind in HEADINGS if _of(kind, happenings, scale)]
    legend = bottom + 34 + ROW * len(kinds) + 14
    lines = [*_legend(results, groups, began), *notes]
    height = legend + LINE * (len(lines) + 2) + 10
    parts = [
        f'<svg xmlns="{SVG}" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        HATCH,
        '<rect width="100%" height="100%" fill="#fff"/>',
        _text(16, 26, title, "title"),
        *_key(),
        *_grid(scale, bottom, ROW * len(kinds)),
    ]
    for row, result in enumerate(results):
        parts += _lane(result, TOP + LANE * row, scale, numbers)
    for row, kind in enumerate(kinds):
        parts += _row(kind, _of(kind, happenings, scale), bottom + 34 + ROW * row, scale)
    parts += [_text(16, legend + LINE * (row + 1), line, "small") for row, line in enumerate(lines)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def grouped(results: Sequence[StreamResult]) -> list[list[tuple[StreamResult, Gap]]]:
    """The gaps of all streams, in order of time; those with the same beginning and names as one."""
    gaps = [(result, gap) for result in results for gap in result.gaps]
    groups: list[list[tuple[StreamResult, Gap]]] = []
    for result, gap in sorted(gaps, key=lambda each: each[1].began):
        for group in reversed(groups):
            first = group[0][1]
            if gap.began - first.began <= SAME and gap.names == first.names:
                group.append((result, gap))
                break
        else:
            groups.append([(result, gap)])
    return groups


def _of(kind: str, happenings: Sequence[Happening], scale: Scale) -> list[Happening]:
    return [
        each
        for each in happenings
        if each.kind == kind and each.time <= scale.ended and each.until >= scale.began
    ]


def _key() -> Iterator[str]:
    """What the looks of a lane mean, at the top."""
    x = LEFT + 180
    for kind, text in (
        ("flow", "arrives"),
        ("lost", "lost"),
        ("late", "late"),
        ("around", "around a function"),
    ):
        yield f'<rect class="{kind}" x="{x}" y="16" width="24" height="12"/>'
        yield _text(x + 30, 26, text, "small")
        x += 60 + 7 * len(text)


def _grid(scale: Scale, bottom: float, more: float) -> Iterator[str]:
    for tick in scale.ticks():
        x = scale.x(scale.began + tick)
        yield f'<path class="grid" d="M{x:.1f} {TOP - 6} V{bottom + 34 + more:g}"/>'
        yield _text(x, bottom + 18, f"{tick:g} s", "small", anchor="middle")
    yield f'<path class="axis" d="M{LEFT} {bottom + 3} H{WIDTH - RIGHT}"/>'


def _lane(
    result: StreamResult, top: float, scale: Scale, numbers: Mapping[int, int]
) -> Iterator[str]:
    yield _text(16, top + 12, _short(result.name, 34), "name")
    yield _text(16, top + 26, _told(result), "small")
    y = top + 4
    start, end = scale.x(scale.began), scale.x(scale.ended)
    yield _rect("flow", start, y, end - start, BAR)
    labelled = -LABEL * 1.0
    for gap in result.gaps:
        x = scale.x(gap.began)
        width = max(scale.x(gap.ended) - x, LEAST)
        yield _rect("lost" if gap.lost else "late", x, y, width, BAR)
        if x - labelled >= LABEL:
            labelled = x
            label = f"{numbers[id(gap)]}: {_seconds(gap)}"
            yield _text(x, y + BAR + 12, label, "number")
    for span in result.bypasses:
        x = scale.x(span.began)
        width = max(scale.x(span.began + span.seconds) - x, LEAST)
        yield _rect("around", x, y + BAR / 2, width, BAR / 2)


def _told(result: StreamResult) -> str:
    words = [f"{result.lost} of {result.sent} lost"]
    if result.crossings:
        words.append(f"{result.bypassed} around")
    words += [f"{result.reordered} reordered"] if result.reordered else []
    words += [f"{result.duplicated} double"] if result.duplicated else []
    return _short(", ".join(words), 40)


def _row(kind: str, found: Sequence[Happening], top: float, scale: Scale) -> Iterator[str]:
    yield _text(16, top + 12, f"{HEADINGS[kind]}: {len(found)}", "small")
    y = top + 3
    for each in found:
        x = scale.x(each.time)
        width = max(scale.x(each.until) - x, LEAST)
        told = f"<title>{escape(f'{each.time - scale.began:+.2f} s {each}')}</title>"
        if kind == TASK:
            place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="12"'
            yield f'<rect class="span" {place}>{told}</rect>'
        else:
            yield f'<path class="event" stroke-width="{LEAST}" d="M{x:.1f} {y} v12">{told}</path>'
            if width > LEAST:
                yield _rect("span", x, y + 4, width, 4)


def _legend(
    results: Sequence[StreamResult],
    groups: Sequence[Sequence[tuple[StreamResult, Gap]]],
    began: float,
) -> Iterator[str]:
    for number, group in enumerate(groups, 1):
        first = group[0][1]
        streams = ", ".join(f"{result.name} {gap.span}" for result, gap in group)
        yield from _wrapped(f"{number} at {first.began - began:.2f} s: {streams}: {first.named}")
    for result in results:
        if result.bypassed:
            around = "; ".join(
                f"{each.bypassed + each.unanswered} around {each.name}" for each in result.crossings
            )
            yield from _wrapped(f"{result.name}: {around}")


def _wrapped(text: str) -> Iterator[str]:
    """A text as lines that fit, the further ones indented."""
    words, line = text.split(), ""
    for word in words:
        if line.strip() and len(line) + 1 + len(word) > LETTERS:
            yield line
            line = "\u2003\u2003" + word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _seconds(gap: Gap) -> str:
    return f"{gap.seconds:.2f} s" if gap.seconds < 100 else f"{gap.seconds:.0f} s"


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}"/>'


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    styled = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:g}"{styled} text-anchor="{anchor}">{escape(text)}</text>'
