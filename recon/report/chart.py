"""A line chart of a quantity over training time, of one or several methods, as inline SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from recon.report.html import Html, el
from recon.report.ticks import linear_ticks, log_ticks, tick_label

WIDTH, HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 28
_MAX_POINTS = 400

Point = tuple[float, float]


@dataclass(frozen=True)
class ChartStyle:
    """What a chart is of.

    Attributes:
        title: the quantity.
        format: a value with its unit, for people.
        log: logarithmic value axis (falls back to a linear one if a value is not positive).
        from_zero: the value axis begins at 0.
        dots: mark each point: they are few and each was measured.
        cls: class of the figure, which decides its colour.
    """

    title: str
    format: Callable[[float], str]
    log: bool = False
    from_zero: bool = False
    dots: bool = False
    cls: str = ""


@dataclass(frozen=True)
class Series:
    """One line: (seconds, value) points, at least one, sorted by time.

    Attributes:
        label: whose it is; "" where there is only one.
        cls: class of the line, which decides its colour.
    """

    points: Sequence[Point]
    label: str = ""
    cls: str = ""

    def text(self, text: str) -> str:
        """A text about the line, with its label where it has one."""
        return f"{self.label}: {text}" if self.label else text


def line_chart(series: Sequence[Series], until: float, style: ChartStyle) -> Html:
    """A figure of lines on a time axis from 0 to `until` seconds."""
    caption = el("figcaption", el("span", style.title), el("b", *_last_values(series, style)))
    return el("figure", caption, chart_svg(series, until, style), class_=_classes(style.cls))


def _classes(cls: str) -> str:
    return f"chart {cls}".strip()


def _last_values(series: Sequence[Series], style: ChartStyle) -> list[Html]:
    """The value at the end of each line, in its colour where there are several."""
    texts = [s.text(style.format(s.points[-1][1])) for s in series]
    return [el("span", t, class_=s.cls or None) for s, t in zip(series, texts, strict=True)]


def chart_svg(series: Sequence[Series], until: float, style: ChartStyle) -> Html:
    """The drawing alone, without caption; its looks come from the page's style sheet."""
    lines = [replace(s, points=thinned(s.points)) for s in series]
    minutes = until > 150
    divisor = 60.0 if minutes else 1.0
    axis = _ValueAxis.fitting([v for s in lines for _, v in s.points], style)
    span = max(until, *(s.points[-1][0] for s in lines), 1e-9)

    def x(seconds: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / span, 1)

    def y(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - axis.at(value)), 1)

    grid = [
        el("g", _hline(y(t)), _label(tick_label(t), _LEFT - 7, y(t) + 3.5, "end"))
        for t in axis.ticks
    ]
    times = [
        _label(tick_label(t), x(t * divisor), HEIGHT - 9, "middle")
        for t in linear_ticks(0, span / divisor)
        if x(t * divisor) < WIDTH - 32  # the unit stands there
    ]
    unit = el("text", "min" if minutes else "s", class_="unit", x=WIDTH - 4, y=HEIGHT - 9)
    marks: list[Html] = []
    hover: list[list[float | str]] = []
    for line in lines:
        path = "M" + "L".join(f"{x(s)} {y(v)}" for s, v in line.points)
        drawn = [el("path", d=path, class_="line")]
        if style.dots or len(line.points) == 1:
            drawn += [el("circle", cx=x(s), cy=y(v), r=3, class_="dot") for s, v in line.points]
        marks.append(el("g", *drawn, class_=line.cls or None))
        hover += [
            [x(s), y(v), line.text(f"{style.format(v)} after {_time(s)}")] for s, v in line.points
        ]
    last = ", ".join(s.text(style.format(s.points[-1][1])) for s in series)
    return el(
        "svg",
        el("title", f"{style.title} against training time; at the end {last}"),
        *grid,
        *times,
        unit,
        *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        data_points=json.dumps(hover, separators=(",", ":")),
    )


def thinned(points: Sequence[Point], limit: int = _MAX_POINTS) -> list[Point]:
    """At most `limit` points, evenly taken, the first and the last among them."""
    if len(points) <= limit:
        return list(points)
    return [points[round(i * (len(points) - 1) / (limit - 1))] for i in range(limit)]


@dataclass(frozen=True)
class _ValueAxis:
    low: float
    high: float
    log: bool
    ticks: list[float]

    @classmethod
    def fitting(cls, values: Sequence[float], style: ChartStyle) -> _ValueAxis:
        low, high = min(values), max(values)
        if style.log and low > 0:
            low, high = low / 1.1, high * 1.1
            ticks = log_ticks(low, high)
            if len(ticks) >= 2:
                return cls(low, high, True, ticks)
        low = 0.0 if style.from_zero and low >= 0 else low
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = (low if style.from_zero else low - margin), high + margin
        return cls(low, high, False, linear_ticks(low, high, 5))

    def at(self, value: float) -> float:
        """0 at the foot of the axis, 1 at its top."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _hline(y: float) -> Html:
    return el("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid")


def _label(text: str, x: float, y: float, anchor: str) -> Html:
    return el("text", text, x=x, y=round(y, 1), text_anchor=anchor)


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 150 else f"{seconds:.0f} s"
