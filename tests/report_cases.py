"""Run directories to make reports of, and what to look for in a page."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from recon.geometry import Camera, Sim3, look_at
from recon.report import write_report
from recon.scene import PosedScene, SparsePoints, View
from recon.sfm import save_scene

EVIL = '<script>document.title="owned"</script>"\'><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """What a test wants to know of a page: text, attributes, scripts, order of ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in ("img", "input", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"unbalanced at </{tag}>"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.text)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def make_scene(names: list[str], folder: Path) -> PosedScene:
    rng = np.random.default_rng(0)
    views = []
    for i, name in enumerate(sorted(names)):
        angle = 0.7 * i
        eye = [np.cos(angle), np.sin(angle), 0.3]
        camera = Camera(60, 40, 50.0, 50.0, 30.0, 20.0, look_at(eye, [0, 0, 0], [0, 0, 1]))
        views.append(View(name, folder / f"{i}.png", camera, "train" if i % 3 else "test"))
    points = SparsePoints(
        rng.normal(size=(500, 3)).astype(np.float32) * 0.3,
        rng.integers(0, 255, (500, 3), dtype=np.uint8),
    )
    return PosedScene(tuple(views), points, Sim3(2.0), failed=(("lost.jpg", "no overlap"),))


def make_run(
    run: Path, views: dict[str, float], *, size: tuple[int, int] = (60, 40), method: str = "splat"
) -> Path:
    """A finished run whose held-out views have the given PSNR."""
    run.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    for i in range(len(views)):
        for folder in ("truth", method):
            (run / "renders" / folder).mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(noise).save(run / "renders" / folder / f"{i}.png")
    figures = {
        name: {"psnr": psnr, "ssim": 0.5, "file": f"{i}.png"}
        for i, (name, psnr) in enumerate(views.items())
    }
    entry = {
        "psnr": 23.45,
        "ssim": 0.789,
        "train_seconds": 61.0,
        "splats": 12800,
        "width": size[0],
        "height": size[1],
        "views": figures,
        "unscored": {"dark.jpg": "the mask leaves next to nothing"},
        "definitions": {"ssim": "11x11 Gaussian window"},
    }
    (run / "eval.json").write_text(json.dumps({method: entry}))
    stage = {"status": "done", "fingerprint": "f"}
    manifest = {
        "version": 1,
        "state": "done",
        "updated": "2025-03-04T05:06:07+00:00",
        "scene": "/home/somebody/captures/garden",
        "method": method,
        "images": 9,
        "registered": 8,
        "poses": "sfm",
        "failed": {"lost.jpg": "no overlap"},
        "skipped": {"torn.jpg": "cannot be decoded"},
        "settings": {"preset": "draft", "splat": {"steps": 700, "rates": {"means": 0.00016}}},
        "backend": "native_cpu",
        "versions": {"recon": "0.1.0", "torch": "2.9"},
        "training": {method: {"seconds": 61.0, "steps": 700, "reason": "done"}},
        "stages": {"sfm": {**stage, "seconds": 41.0}, "train_splat": {**stage, "seconds": 62.5}},
        "error": None,
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    events: list[dict[str, object]] = [
        {"type": "step", "step": i, "seconds": i / 10, "loss": 0.3 / (1 + i), "size": 100 + i}
        for i in range(50)
    ]
    events += [{"type": "eval", "step": 25, "seconds": 2.5, "psnr": 19.5, "views": 3}]
    events += [{"type": "notice", "step": 30, "text": "resolution rises"}]
    (run / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events) + '{"ty')
    save_scene(make_scene([*views, "t1.jpg", "t2.jpg"], run), run)
    return run


VIEWS = {"a.jpg": 25.0, "b.jpg": 21.0, "c/d.jpg": 30.0, "e.jpg": 23.0}


def read_page(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def hostile_run(run: Path) -> Path:
    make_run(run, {EVIL: 20.0, "b.jpg": 25.0})
    for name in ("manifest.json", "events.jsonl", "eval.json"):
        text = (run / name).read_text()
        for word in ("garden", "native_cpu", "no overlap", "resolution rises", "11x11", "700"):
            text = text.replace(word, json.dumps(EVIL)[1:-1])
        (run / name).write_text(text)
    return run


def events_of(method: str, psnrs: list[float], views: int = 3) -> str:
    events = [
        {
            "type": "eval",
            "method": method,
            "step": i,
            "seconds": 10.0 * i,
            "psnr": p,
            "views": views,
        }
        for i, p in enumerate(psnrs, 1)
    ]
    return "".join(json.dumps(e) + "\n" for e in events)


def with_mask(run: Path, name: str, columns: int) -> Path:
    """The run with a mask that leaves out the first columns of a view; returns the mask's file."""
    evals = json.loads((run / "eval.json").read_text())
    for entry in evals.values():
        entry["views"][name]["masked"] = True
    (run / "eval.json").write_text(json.dumps(evals))
    scene = make_scene([*evals["splat"]["views"], "t1.jpg", "t2.jpg"], run)
    path = run / "masks" / "mask.png"
    path.parent.mkdir()
    mask = np.full((40, 60), 255, np.uint8)
    mask[:, :columns] = 0
    Image.fromarray(mask).save(path)
    views = tuple(replace(v, mask_path=path if v.name == name else None) for v in scene.views)
    save_scene(replace(scene, views=views), run)
    return path
