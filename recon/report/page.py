"""`write_report`: reads a run directory, puts the page together, writes it in one piece."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from recon.errors import RunDirError
from recon.report import sections, words
from recon.report.capture import capture
from recon.report.data import RunData, read_run
from recon.report.html import Html, el, join
from recon.report.pictures import picture_views
from recon.scene import PosedScene

REPORT_NAME = "report.html"


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run directory; returns its path.

    The page stands alone: no network, pictures inside, a few megabytes. What the run directory
    lacks, the page says.

    Raises:
        RunDirError: there is no such folder.
        OSError: the disk is full or the folder cannot be written to; an older page stays.
    """
    if not run_dir.is_dir():
        raise RunDirError("there is no such run directory", where=run_dir)
    page = render_page(read_run(run_dir))
    path = run_dir / REPORT_NAME
    partial = path.with_name(f".{REPORT_NAME}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def render_page(run: RunData) -> str:
    """The whole page as text."""
    views = picture_views(run)
    body = el(
        "div",
        sections.header(run),
        sections.top(run, views),
        sections.method_table(run),
        sections.held_out(run, views),
        sections.training(run),
        sections.cameras(run, views),
        capture(run),
        sections.times(run.facts),
        _how_measured(run),
        _details(run),
        _footer(run),
        class_="page",
    )
    script, style = _asset("script.js"), _asset("style.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Whatever a file of the run should manage to smuggle in: it cannot run, nor call anybody.
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("title", f"{run.facts.title} · recon report"),
        el("style", Html(style)),
    )
    template = el("template", sections.split(None, None), id=sections.SPLIT_TEMPLATE_ID)
    return "<!doctype html>\n" + el(
        "html",
        head,
        el("body", body, template, _dialog(), el("script", Html(script))),
        lang="en",
    )


def _asset(name: str) -> str:
    return resources.files("recon.report").joinpath(name).read_text(encoding="utf-8")


def _dialog() -> Html:
    def button(text: str, cls: str, label: str) -> Html:
        return el("button", text, type="button", class_=cls, aria_label=label)

    tools = el(
        "div",
        el("h3"),
        el("span", class_="modes"),
        button("‹", "previous", "previous view"),
        button("›", "next", "next view"),
        button("Close", "close", "close"),
        class_="tools",
    )
    return el("dialog", tools, el("div", class_="stage"), aria_label="held-out view")


def _how_measured(run: RunData) -> Html | None:
    if not run.methods:
        return _boxed([detail for detail in [_sim3(run.scene)] if detail])
    facts = run.facts
    with_sizes = [m for m in run.methods if m.width and m.height]
    sizes = sorted({f"{m.width}×{m.height}" for m in with_sizes})
    ssim = next((d for m in run.methods if (d := m.definitions.get("ssim"))), None)
    items: list[str] = []
    if facts.poses == "sfm":
        items.append(
            "Structure from motion saw all photos, the held-out ones included: their cameras "
            "are known that way. Training never loaded their pixels. This is usual, and a "
            "little kinder than measuring at cameras that were found without the photo."
        )
    elif facts.poses:
        items.append(f"The cameras came with the photos ({facts.poses}); none were estimated.")
    if run.scene is not None and run.scene.background is not None:
        color = ", ".join(f"{c:g}" for c in run.scene.background)
        items.append(f"Transparent pixels lie on the background colour ({color}), in both.")
    at = f" at {' and '.join(sizes)} pixels" if sizes else ""
    items += [
        f"Measured{at}, against the undistorted photo, 8 bits, area-averaged to that size. The "
        "render is not rounded to 8 bits first; a NeRF's has four rays a pixel.",
        "PSNR: -10 log10 of the mean squared error of each picture, on values clamped to 0..1; "
        "then the mean over the pictures. As a rule of thumb: 20 dB is a rough likeness, 25 "
        "fair, 30 good, beyond 35 hard to tell apart.",
        f"SSIM: {ssim}." if ssim else "SSIM: see the definitions in eval.json.",
        "LPIPS is not measured: it needs the weights of a network that recon does not carry.",
        "Error maps: absolute error, mean over red, green and blue, from the 8-bit pictures "
        "in renders/.",
    ]
    masked = {view.name for m in run.methods for view in m.views if view.masked}
    if masked:
        items.append(
            f"A mask leaves pixels out of {words.plural(len(masked), 'photo')}: they count neither "
            "in PSNR nor, with the windows that touch them, in SSIM. In the pictures they are "
            "hatched, and have no error."
        )
    return section_list("How it was measured", items, _sim3(run.scene))


def section_list(title: str, items: list[str], *more: Html | None) -> Html:
    bullets = el("ul", *(el("li", item) for item in items), class_="facts")
    return sections.section(title, None, bullets, *more)


def _sim3(scene: PosedScene | None) -> Html | None:
    """How to get back from normalised space to the capture's own world."""
    if scene is None:
        return None
    t = scene.norm_from_world
    rows = [
        " ".join(f"{value: .6f}" for value in row) for row in [*t.rotation.tolist(), t.translation]
    ]
    text = (
        "Everything was trained in normalised space. x_norm = scale · R · x_world + t leads there "
        "from the world of the given or estimated cameras (norm_from_world in manifest.json); "
        "lengths in the world are those here divided by the scale."
    )
    facts = [("scale", f"{t.scale:.6g}")]
    facts += [(f"R, row {i + 1}", rows[i]) for i in range(3)] + [("t", rows[3])]
    return el(
        "details",
        el("summary", "The way back to the capture's own world (a Sim3)"),
        el("div", el("p", text, class_="lead"), _pairs(facts)),
        style="margin-top:24px",
    )


def _details(run: RunData) -> Html:
    facts = run.facts
    settings = list(_flattened(facts.settings))
    versions = [("backend", facts.backend), *facts.versions.items()]
    outcome = [
        (f"{method}, {key}", _shown(value))
        for method, data in facts.training.items()
        for key, value in data.items()
    ]
    parts = [
        ("Settings, all resolved", settings),
        ("Outcome of training", outcome),
        ("Backend and versions", [(k, v) for k, v in versions if v]),
        ("Files of this run", _files(run.folder)),
    ]
    shown = [
        el("details", el("summary", title), _pairs(pairs), open=title.startswith("Backend"))
        for title, pairs in parts
        if pairs
    ]
    return sections.section(
        "Particulars", None, *(sections.note(text) for text in run.notes), _boxed(shown)
    )


def _boxed(children: list[Html]) -> Html | None:
    return el("div", *children, style="margin-top:20px") if children else None


def _pairs(pairs: list[tuple[str, str]]) -> Html:
    rows = (el("tr", el("th", key), el("td", el("code", value))) for key, value in pairs)
    return el("table", el("tbody", *rows), class_="pairs")


def _flattened(
    settings: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, str]]:
    """Nested settings as ("splat.steps", "7000") pairs."""
    for key, value in settings.items():
        if depth == 0 and key == "identity":
            continue  # repeats, for comparing runs, what stands elsewhere
        if isinstance(value, dict) and depth < 4:
            yield from _flattened(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", _shown(value)


def _shown(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _files(folder: Path) -> list[tuple[str, str]]:
    words = {
        "splat.ply": "the splats; opens in SuperSplat, Unreal, Unity and others",
        "splat.safetensors": "the splats as recon itself reads them",
        "nerf.safetensors": "the NeRF as recon itself reads it",
        "eval.json": "the figures of this page",
        "manifest.json": "inputs, settings, versions, times",
        "events.jsonl": "the course of training",
        "renders": "held-out renders beside the photos",
    }
    return [(name, text) for name, text in words.items() if (folder / name).exists()]


def _footer(run: RunData) -> Html:
    version = run.facts.versions.get("recon", "")
    return el(
        "footer",
        join(["Walk through it: ", el("code", f"recon view {run.facts.title}")]),
        f" · made by recon {version}".rstrip(),
    )
