"""The parts of the page that show: headline, held-out pictures, training, cameras, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recon.metrics import ERROR_FULL_SCALE, error_colors
from recon.report import words
from recon.report.chart import ChartStyle, Series, line_chart
from recon.report.data import MethodFigures, RunData, RunFacts
from recon.report.html import Html, el, join
from recon.report.pictures import Picture, PicturedView, Rendered, worst_first
from recon.report.plan import plan_figures
from recon.report.race import reached_other

SPLIT_TEMPLATE_ID = "split-template"
_TALL = 0.9  # width over height below which pictures count as narrow
_MANY = 8


def section(title: str, lead: str | Html | None, *children: Html | None) -> Html:
    return el("section", el("h2", title), el("p", lead, class_="lead") if lead else None, *children)


def note(text: str) -> Html:
    return el("p", text, class_="note")


def header(run: RunData) -> Html:
    """Title, what it is, and how far it came."""
    facts = run.facts
    made = [words.method_name(m.method) for m in run.methods]
    parts = [
        " and ".join(made) or words.method_name(facts.method),
        words.plural(facts.images, "photo") if facts.images is not None else "",
        facts.updated[:10],
    ]
    return el(
        "header",
        el("p", "recon report", class_="eyebrow"),
        el("h1", facts.title),
        el("p", " · ".join(p for p in parts if p), class_="lead"),
        _alarm(facts),
    )


def _alarm(facts: RunFacts) -> Html | None:
    """That a run did not end well, why, and what to do."""
    if facts.state in ("", "done"):
        return None
    state = el("p", f"This run {words.STATE_WORDS.get(facts.state, f'is {facts.state}')}.")
    lines = [el("p", facts.error[key]) for key in ("what", "remedy") if facts.error.get(key)]
    return el("div", state, *lines, class_="alarm")


def top(run: RunData, views: Sequence[PicturedView]) -> Html:
    """A split picture of the median view beside the headline figures."""
    best = max(run.methods, key=lambda m: m.psnr or 0.0, default=None)
    chosen = None if best is None else _median_view(views, best.method)
    figures = _headline(run, best)
    if chosen is None:
        return el("div", figures, class_="top plain")
    view, rendered, truth, render = chosen
    psnr = rendered.figures.psnr
    where = "" if len(views) < 3 else f", the median of the {len(views)} pictured"
    figure = "" if psnr is None else f" ({psnr:.1f} dB)"
    under = f"{view.name}: never trained on{where}{figure}. Drag to compare."
    picture = el("div", split(truth, render), el("p", under, class_="under"))
    tall = truth.width < _TALL * truth.height
    return el("div", picture, figures, class_="top tall" if tall else "top")


def _median_view(
    views: Sequence[PicturedView], method: str
) -> tuple[PicturedView, Rendered, Picture, Picture] | None:
    whole = [
        (view, rendered, view.truth, rendered.render)
        for view in views
        for rendered in view.rendered
        if rendered.method == method and view.truth is not None and rendered.render is not None
    ]
    return whole[len(whole) // 2] if whole else None


def split(truth: Picture | None, render: Picture | None) -> Html:
    """Photo on the left of a line that can be dragged, render on the right of it."""
    ratio = truth.width / truth.height if truth else 1.0
    return el(
        "div",
        el("img", src=truth.uri if truth else None, alt="the photo"),
        el("img", src=render.uri if render else None, alt="the render"),
        el("span", class_="bar"),
        el("span", "Photo", class_="tag left"),
        el("span", "Render", class_="tag right"),
        el("input", type="range", min=0, max=100, value=50, aria_label="photo against render"),
        class_="split",
        style=f"--ratio:{ratio:.4f}",
    )


def _headline(run: RunData, best: MethodFigures | None) -> Html:
    facts = run.facts
    tiles: list[Html] = []
    if best is not None and best.psnr is not None:
        size = f" at {best.width}×{best.height}" if best.width else ""
        seen = words.plural(len(best.views), "photo")
        whose = f" of {words.method_name(best.method)}" if len(run.methods) > 1 else ""
        text = (
            f"PSNR{whose} on {seen} that training never saw{size}: "
            f"a typical pixel is off by {words.share_of_range(best.psnr)} of the full range"
        )
        tiles.append(_tile(f"{best.psnr:.2f}", text, unit="dB", cls="chief"))
        if best.ssim is not None:
            tiles.append(_tile(f"{best.ssim:.3f}", "SSIM held out"))
    if best is not None and best.size is not None:
        tiles.append(_tile(words.count(best.size), best.size_unit))
    if best is not None and best.train_seconds is not None:
        tiles.append(_tile(words.duration(best.train_seconds), "training"))
    total = sum(s.seconds for s in facts.stages)
    if total > 0:
        tiles.append(_tile(words.duration(total), "all stages together"))
    if facts.registered is not None:
        of = "" if facts.images is None else f"of {facts.images}"
        tiles.append(_tile(f"{facts.registered}", "photos have a camera", unit=of))
    if not tiles:
        return note("There are no figures yet.")
    return el("dl", *tiles, class_="headline")


def _tile(value: str, label: str, *, unit: str = "", cls: str | None = None) -> Html:
    small = el("small", f" {unit}") if unit else None
    return el("div", el("dt", label), el("dd", value, small), class_=cls)


def method_table(run: RunData) -> Html | None:
    """Methods side by side, when there are several."""
    methods = run.methods
    if len(methods) < 2:
        return None
    head = (
        *("Method", "PSNR", "SSIM", "Size", "Training", "A render takes", "Pixels a second"),
        "As good as the other in the end after",
    )
    rows = [
        (
            words.method_name(m.method),
            "" if m.psnr is None else f"{m.psnr:.2f} dB",
            "" if m.ssim is None else f"{m.ssim:.4f}",
            "" if m.size is None else f"{words.count(m.size)} {m.size_unit}",
            "" if m.train_seconds is None else words.duration(m.train_seconds),
            "" if m.render_seconds is None else f"{1000 * m.render_seconds:.0f} ms",
            "" if m.pixels_per_second is None else words.count(m.pixels_per_second),
            _reached(run, m.method),
        )
        for m in methods
    ]
    lead = "Renders were timed while the held-out views were measured, each at full size."
    return section("Methods compared", lead, figure_table(head, rows))


def _reached(run: RunData, method: str) -> str:
    seconds = reached_other(run.courses, method)
    return "not reached" if seconds is None else words.duration(seconds)


def figure_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose first column is text and whose others are figures."""
    cells = [
        el("tr", *(el("td", c, class_="n" if i else None) for i, c in enumerate(r))) for r in rows
    ]
    top_row = el("tr", *(el("th", h, class_="n" if i else None) for i, h in enumerate(head)))
    return el("div", el("table", el("thead", top_row), el("tbody", *cells)), class_="wide")


def held_out(run: RunData, views: Sequence[PicturedView]) -> Html:
    """The pictures, worst first, and the figures of all views."""
    title = "Held-out views, worst first"
    if not run.methods:
        return section(title, None, note("Nothing was measured yet: there is no eval.json."))
    total = len(worst_first(run.methods))
    unscored = {n: r for m in run.methods for n, r in m.unscored.items()}
    missing = [el("li", el("b", name), f": {reason}") for name, reason in unscored.items()]
    left_out = el("ul", *missing, class_="facts") if missing else None
    if total == 0:
        text = "No photo was held out, so there is nothing that could tell how good the model is."
        return section(title, None, note(text), left_out)
    lead = "These photos were kept from training. Click a picture to enlarge it and to drag "
    lead += "between photo and render."
    if len(views) < total:
        lead += f" Pictured are the worst {len(views)} of {total}."
    tall = [v for v in views if v.truth and v.truth.width < _TALL * v.truth.height]
    cards = [_card(view, len(run.methods)) for view in views]
    narrow = 2 * len(tall) > len(views)
    # Two views a row where three pictures of each still have room enough, or else the page is
    # too long to be looked through.
    two = len(run.methods) == 1 and (narrow or len(views) > _MANY)
    layout = " ".join(["views"] + ["tall"] * narrow + ["two"] * two)
    return section(
        title,
        lead,
        _error_key(any(view.masked for view in views)),
        el("div", *cards, class_=layout),
        left_out,
        _all_views(run.methods) if total > 3 else None,
    )


def _error_key(masked: bool) -> Html:
    stops = ",".join(
        f"rgb({r},{g},{b})" for r, g, b in error_colors([i / 7 for i in range(8)]).tolist()
    )
    bar = el("i", style=f"background:linear-gradient(90deg,{stops})")
    upper = f"{100 * ERROR_FULL_SCALE:.0f} % of the full range and more"
    hatched = [el("i", class_="hatched"), "masked: in no figure"] if masked else []
    return el("p", "Error map: none", bar, upper, *hatched, class_="scale-key")


def _card(view: PicturedView, methods: int) -> Html:
    truth = _zoomable(view.truth, "truth", "Photo", view.name)
    pictures = [truth]
    texts: list[str | Html] = []
    for r in view.rendered:
        many = methods > 1
        name = words.method_name(r.method)
        pictures.append(_zoomable(r.render, "render", name if many else "Render", view.name))
        error_label = f"Error of {name}" if many else "Error"
        pictures.append(_zoomable(r.error, "error", error_label, view.name))
        figures = [] if r.figures.psnr is None else [f"PSNR {r.figures.psnr:.2f} dB"]
        figures += [] if r.figures.ssim is None else [f"SSIM {r.figures.ssim:.3f}"]
        figures += [view.masked] if view.masked and r.figures.masked else []
        texts.append((f"{name}: " if many else "") + " · ".join(figures))
    head = el("header", el("h3", view.name), el("p", "; ".join(texts)))
    cls = "pics many" if methods > 1 else "pics"
    return el("article", head, el("div", *pictures, class_=cls), class_="view", id=anchor(view))


def anchor(view: PicturedView) -> str:
    return f"view-{view.rank + 1}"


def _zoomable(picture: Picture | None, kind: str, label: str, name: str) -> Html:
    if picture is None:
        return el("figure", el("div", "no picture", class_="none"), el("figcaption", label))
    image = el(
        "img",
        src=picture.uri,
        width=picture.width,
        height=picture.height,
        alt=f"{label} of {name}",
        data_kind=kind,
        data_label=label,
    )
    button = el("button", image, type="button", aria_label=f"Enlarge: {label} of {name}")
    return el("figure", button, el("figcaption", label))


def _all_views(methods: Sequence[MethodFigures]) -> Html:
    many = len(methods) > 1
    head = ["View"]
    for m in methods:
        prefix = f"{words.method_name(m.method)}: " if many else ""
        head += [f"{prefix}PSNR", f"{prefix}SSIM"]
    rows: list[list[str]] = []
    for name, figures in worst_first(methods):
        row = [f"{name} (masked)" if any(f.masked for f in figures.values()) else name]
        for m in methods:
            f = figures.get(m.method)
            row.append("" if f is None or f.psnr is None else f"{f.psnr:.2f}")
            row.append("" if f is None or f.ssim is None else f"{f.ssim:.4f}")
        rows.append(row)
    return el("details", el("summary", "Figures of all views"), figure_table(head, rows))


def training(run: RunData) -> Html:
    """Held-out PSNR, loss and size against the seconds of training."""
    courses = {name: c for name, c in run.courses.items() if c.psnr or c.loss}
    until = max((s for c in courses.values() for x in (c.psnr, c.loss) for s, _ in x), default=0.0)
    many = len(courses) > 1
    quality = [
        Series(c.psnr, words.method_name(name) if many else "", name if many else "")
        for name, c in courses.items()
        if c.psnr
    ]
    charts: list[Html] = []
    if quality:
        # While training goes on, only some of the held-out views may be measured.
        views = {words.plural(c.psnr_views, "view") for c in courses.values() if c.psnr_views}
        measured = ", ".join(["Held-out PSNR", *([views.pop()] if len(views) == 1 else [])])
        style = ChartStyle(measured, lambda v: f"{v:.2f} dB", dots=True, cls="psnr")
        charts.append(line_chart(quality, until, style))
    for name, course in courses.items():
        # Each method has a loss of its own: they share no axis.
        of = f" of {words.method_name(name)}" if many else ""
        loss = ChartStyle(f"Training loss{of}", lambda v: f"{v:.4f}", log=True, cls="loss")
        size = ChartStyle("Splats", words.count, from_zero=True, cls="size")
        charts += [line_chart([Series(course.loss)], until, loss)] if course.loss else []
        grows = len({value for _, value in course.size}) > 1
        charts += [line_chart([Series(course.size)], until, size)] if grows else []
    notices = [el("li", text) for c in courses.values() for text in c.notices]
    parts = [
        el("div", *charts, class_="charts") if charts else note("No course of training was kept."),
        el("ul", *notices, class_="facts") if notices else None,
    ]
    lead = "Against seconds of training alone: pauses and measuring are left out."
    return section("Training", lead if charts else None, *parts)


def cameras(run: RunData, views: Sequence[PicturedView]) -> Html:
    """Plan and side view, and what became of photos without a camera."""
    lost = _lost_photos(run.facts, run.scene.failed if run.scene else ())
    scene = run.scene
    if scene is None or not scene.views:
        return section("Cameras and cloud", None, note("No cameras are known."), lost)
    test = len(scene.test_views)
    key = el(
        "p",
        _key("train", f"{words.plural(len(scene.train_views), 'photo')} trained on"),
        _key("test", f"{test} held out" + (", click one to see it" if views else "")),
        el("span", f"{len(scene.points):,} points of the sparse cloud"),
        class_="key",
    )
    anchors = {view.name: anchor(view) for view in views}
    plans = el("div", *plan_figures(scene, anchors), class_="plans")
    lead = "In normalised space: centred, upright, cameras within about one unit."
    return section("Cameras and cloud", lead, plans, key, lost)


def _key(split_name: str, text: str) -> Html:
    path = el("path", d="M2 2H18V13H2Z", class_=f"camera {split_name}")
    return el("span", el("svg", path, viewBox="0 0 20 15"), text)


def _lost_photos(facts: RunFacts, failed: Sequence[tuple[str, str]]) -> Html | None:
    without: Mapping[str, str] = {**facts.failed, **dict(failed)}
    groups = (("Photos without a camera", without), ("Files that were skipped", facts.skipped))
    tables = [
        el(
            "details",
            el("summary", f"{title}: {len(items)}"),
            el("table", *(el("tr", el("th", n), el("td", why)) for n, why in items.items())),
            open=len(items) <= 12,
        )
        for title, items in groups
        if items
    ]
    return el("div", *tables, style="margin-top:24px") if tables else None


def times(facts: RunFacts) -> Html:
    """A bar for each stage."""
    stages = [s for s in facts.stages if s.seconds > 0 or s.status == "done"]
    if not stages:
        return section("Where the time went", None, note("No stage has been timed yet."))
    longest = max(s.seconds for s in stages) or 1.0
    rows: list[Html] = []
    for s in stages:
        status = f" ({s.status})" if s.status not in ("done", "running", "") else ""
        bar = el("i", style=f"width:{100 * s.seconds / longest:.1f}%")
        name = el("span", words.stage_name(s.name) + status)
        rows.append(el("div", name, bar, el("b", words.duration(s.seconds))))
    total = words.duration(sum(s.seconds for s in stages))
    rows.append(el("div", el("span", "Together"), el("b", total), class_="total"))
    return section("Where the time went", None, el("div", join(rows), class_="times"))
