"""Draws bar charts of benchmark results as SVG, for light and dark pages; bars of fnkit are coloured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.measurement import Comparison, Result

__all__ = ["draw_charts"]

WIDTH, LABELS, VALUES = 800, 330, 90
"""Widths of the chart, of the labels on the left and of the values on the right."""
TOP, ROW, BAR = 56, 34, 20

_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 16px }
.note, .label { fill: #57606a }
.ours { fill: #7c3aed } .theirs { fill: #b6bcc4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note, .label { fill: #9aa4af }
  .ours { fill: #a78bfa } .theirs { fill: #565e68 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart."""

    label: str
    value: float
    text: str
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart; ``note`` says which direction is better."""

    name: str
    title: str
    note: str
    bars: Sequence[Bar]


def draw_charts(results: Sequence[tuple[str, Result]], folder: Path) -> list[Path]:
    """Write a file for each chart whose benchmark was run, and return the files."""
    by_name: dict[str, list[Comparison]] = {}
    for name, one in results:
        if isinstance(one, Comparison):
            by_name.setdefault(name, []).append(one)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for chart in _charts(by_name):
        file = folder / f"{chart.name}.svg"
        file.write_text(_render_svg(chart), encoding="utf-8")
        files.append(file)
    return files


def _charts(found: dict[str, list[Comparison]]) -> list[Chart]:
    charts = []
    if cold := found.get("cold-start"):
        charts.append(
            Chart(
                "cold-starts",
                "Cold start: from request to response",
                _LOWER_IS_BETTER,
                _comparison_bars(cold, _milliseconds),
            )
        )
    if peers := found.get("peers"):
        first = [one for one in peers if one.ours.startswith("first answer")]
        ours = Bar("fnkit, scaled to zero", first[0].our_median, _milliseconds(first[0].our_median), ours=True)
        theirs = [
            Bar(one.reference.removeprefix("starting "), one.reference_median, _milliseconds(one.reference_median))
            for one in first
        ]
        charts.append(
            Chart("first-answers", "First response without a running instance", _LOWER_IS_BETTER, [ours, *theirs])
        )
        warm = [one for one in peers if one.ours.startswith("a request")]
        ours = Bar("fnkit", _rate(warm[0].our_median), _per_second(warm[0].our_median), ours=True)
        theirs = [
            Bar(one.reference, _rate(one.reference_median), _per_second(one.reference_median)) for one in warm
        ]
        title = "Requests per second, the same handler, 16 connections"
        charts.append(Chart("throughput", title, "higher is better", [ours, *theirs]))
    if cpu := [one for one in found.get("gateway-cpu", []) if "CPU" in one.ours]:
        title = "CPU time of the front per warm request"
        charts.append(Chart("gateway-cpu", title, _LOWER_IS_BETTER, _comparison_bars(cpu, _microseconds)))
    return charts


_LOWER_IS_BETTER = "lower is better"


def _comparison_bars(comparisons: Sequence[Comparison], format_value: Callable[[float], str]) -> list[Bar]:
    bars = []
    for one in comparisons:
        bars.append(Bar(one.ours, one.our_median, format_value(one.our_median), ours=True))
        bars.append(Bar(one.reference, one.reference_median, format_value(one.reference_median)))
    return bars


def _rate(seconds: float) -> float:
    return 1 / seconds


def _per_second(seconds: float) -> str:
    return f"{round(1 / seconds, -2):,.0f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs"


def _render_svg(chart: Chart) -> str:
    height = TOP + ROW * len(chart.bars) + 8
    longest = max(bar.value for bar in chart.bars)
    available = WIDTH - LABELS - VALUES - 24
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(chart.title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="12" y="24">{escape(chart.title)}</text>',
        f'<text class="note" x="{WIDTH - 12}" y="24" text-anchor="end">{chart.note}</text>',
    ]
    for number, bar in enumerate(chart.bars):
        y = TOP + ROW * number
        length = max(2.0, available * bar.value / longest)
        kind = "ours" if bar.ours else "theirs"
        position = f'x="{LABELS}" y="{y + 15}" text-anchor="end"'
        lines += [
            f'<text class="{"" if bar.ours else "label"}" {position}>{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{LABELS + 12}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>',
            f'<text x="{LABELS + 20 + length:.1f}" y="{y + 15}">{escape(bar.text)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
