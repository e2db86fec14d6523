"""PSNR against training time of several results of one scene, as an SVG file."""

from __future__ import annotations

from collections.abc import Sequence

from record import Result

from recon.report.chart import HEIGHT, WIDTH, ChartStyle, Series, chart_svg
from recon.report.html import Html, el

_COLORS = ("#c2420d", "#1b6a9c", "#6d5aa8", "#3c7d3f", "#8a6d1d", "#5a5a5a")
_ROW = 18
_STYLE = """
svg { background: #fff; color: #1b6a9c; }
text { font: 11.5px system-ui, sans-serif; fill: #6a665f; }
.grid { stroke: #e6e2d9; }
.line { fill: none; stroke: currentColor; stroke-width: 2; }
.dot { fill: currentColor; }
.unit { text-anchor: end; }
"""


def time_against_psnr(results: Sequence[Result]) -> str:
    """A standalone drawing; the last point of each line is the whole test split.

    At least one result.
    """
    lines = [
        Series((*r.curve, (r.train_seconds, r.psnr)), f"{r.method}, {r.preset}", f"c{i}")
        for i, r in enumerate(results)
    ]
    until = max(r.train_seconds for r in results)
    style = ChartStyle(f"Held-out PSNR of {results[0].scene}", lambda v: f"{v:.2f} dB", dots=True)
    colors = "".join(f".c{i} {{ color: {_COLORS[i % len(_COLORS)]}; }}" for i in range(len(lines)))
    legend = [
        el(
            "g",
            el("circle", cx=52, cy=14 + _ROW * i, r=4, class_="dot"),
            el("text", line.text(style.format(line.points[-1][1])), x=62, y=18 + _ROW * i),
            class_=line.cls,
        )
        for i, line in enumerate(lines)
    ]
    top = _ROW * len(lines) + 8
    return el(
        "svg",
        el("style", Html(_STYLE + colors)),
        *legend,
        el("g", chart_svg(lines, until, style), transform=f"translate(0 {top})"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT + top}",
        width=2 * WIDTH,
        height=2 * (HEIGHT + top),
    )
