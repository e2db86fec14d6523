"""The parts of a report: markup, charts, words."""

from __future__ import annotations

import json

import pytest
from report_cases import Page

from recon.report.chart import ChartStyle, Series, line_chart, thinned
from recon.report.html import Html, el, join
from recon.report.ticks import linear_ticks, log_ticks, tick_label
from recon.report.words import count, duration, share_of_range


def test_markup_is_escaped_unless_it_was_made_here() -> None:
    made = el("p", "a < b", el("b", "&"), None, title='"x"', data_k=3, hidden=True, id=None)
    assert made == '<p title="&quot;x&quot;" data-k="3" hidden>a &lt; b<b>&amp;</b></p>'
    assert isinstance(made, Html)
    assert el("img", src="x") == '<img src="x">'
    assert join(["<", Html("<br>"), None]) == "&lt;<br>"


def test_ticks_are_round_and_inside() -> None:
    assert linear_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert linear_ticks(19.7, 28.2, 4) == [20, 25]
    assert linear_ticks(3, 3) == [3]
    assert log_ticks(0.02, 0.4) == pytest.approx([0.02, 0.05, 0.1, 0.2])
    assert log_ticks(1, 10_000) == pytest.approx([1, 10, 100, 1000, 10_000])
    assert [tick_label(v) for v in (0.05, 12.5, 8000, 12_000, 1.2e6)] == [
        "0.05",
        "12.5",
        "8000",
        "12k",
        "1.2M",
    ]


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0)],
        [(5.0, 3.0), (5.0, 3.0)],
        [(0.0, -4.0), (1.0, 4.0)],
        [(float(i), 1e-9 * i) for i in range(2000)],
        [(float(i), 10.0 ** (i - 5)) for i in range(10)],
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_charts_stay_inside_their_frame(points: list[tuple[float, float]], log: bool) -> None:
    figure = line_chart([Series(points)], points[-1][0], ChartStyle("x", str, log=log))
    (data,) = Page(figure).attributes("data-points")
    marks = json.loads(data)
    assert 1 <= len(marks) <= 400
    for x, y, _ in marks:
        assert 46 <= x <= 440 - 12
        assert 12 <= y <= 230 - 28


def test_thinning_keeps_both_ends() -> None:
    points = [(float(i), 0.0) for i in range(1001)]
    kept = thinned(points, 10)
    assert len(kept) == 10
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]


def test_words() -> None:
    assert [duration(s) for s in (0.04, 9.9, 59.4, 59.7, 271, 3599.6, 3900)] == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "1 min 00 s",
        "4 min 31 s",
        "1 h 00 min",
        "1 h 05 min",
    ]
    assert count(12800) == "12,800"
    assert count(1_250_000) == "1.25 million"
    assert share_of_range(20) == "10.0 %"
