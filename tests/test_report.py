"""The report of whole, partial, broken and hostile run directories; and in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.errors import RunDirError
from recon.geometry import Camera, Sim3, look_at
from recon.report import write_report
from recon.report.chart import ChartStyle, Series, line_chart, thinned
from recon.report.data import read_courses, read_run
from recon.report.html import Html, el, join
from recon.report.pictures import picture_views, worst_first
from recon.report.race import reached_other
from recon.report.ticks import linear_ticks, log_ticks, tick_label
from recon.report.words import count, duration, share_of_range
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


def test_a_whole_run(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run", VIEWS))
    assert not page.open
    for text in (
        "garden",
        "23.45",
        "0.789",
        "12,800",
        "60×40",
        "Structure from motion saw all photos, the held-out ones included",
        "11x11 Gaussian window",
        "LPIPS is not measured",
        "lost.jpg",
        "no overlap",
        "torn.jpg",
        "dark.jpg",
        "splat.rates.means",
        "native_cpu",
        "resolution rises",
        "Held-out PSNR, 3 views",
        "19.50 dB",
        "norm_from_world",
        "recon view garden",
    ):
        assert text in page.words, text
    assert "somebody" not in page.words, "a page that is passed on must not name private folders"
    assert [p.name for p in (tmp_path / "run").glob(".*")] == []


def test_views_come_worst_first_with_three_pictures_each(tmp_path: Path) -> None:
    page = read_page(make_run(tmp_path / "run", VIEWS))
    kinds = [attrs.get("data-kind", "") for tag, attrs in page.tags if tag == "img"]
    assert [k for k in kinds if k] == ["truth", "render", "error"] * 4
    alts = [alt for alt in page.attributes("alt") if alt.startswith("Render of")]
    assert alts == [f"Render of {name}" for name in ("b.jpg", "e.jpg", "a.jpg", "c/d.jpg")]
    # The plan leads to them.
    assert "#view-1" in page.attributes("href")


def test_the_page_stands_alone(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path / "run", VIEWS)).read_text(encoding="utf-8")
    page = Page(text)
    for name in ("src", "href"):
        assert all(v.startswith(("data:image/", "#")) for v in page.attributes(name) if v)
    assert "@import" not in text
    assert "url(" not in text
    assert [tag for tag, _ in page.tags if tag in ("link", "iframe", "object")] == []
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("what", ["manifest.json", "eval.json", "events.jsonl", "scene.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "torn", "list", "binary"])
def test_each_part_may_be_missing_or_broken(tmp_path: Path, what: str, how: str) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    path = run / what
    text = path.read_text()
    contents = {"empty": b"", "torn": text[: len(text) // 2].encode(), "list": b"[1, 2]"}
    path.unlink()
    if how != "missing":
        path.write_bytes(contents.get(how, b"\xff\xfe\x00"))
    page = read_page(run)
    assert not page.open
    assert ("23.45" in page.words) == (what != "eval.json")
    if what != "events.jsonl":
        assert read_run(run).notes


def test_an_empty_folder_still_gives_a_page(tmp_path: Path) -> None:
    page = read_page(tmp_path)
    assert "There is no manifest.json" in page.words
    assert "There are no figures yet" in page.words
    assert "How it was measured" not in page.words
    assert str(tmp_path) not in page.words


def test_pictures_may_be_missing_or_broken(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    (run / "renders/splat/0.png").unlink()
    (run / "renders/splat/1.png").write_bytes(b"no picture")
    (run / "renders/truth/2.png").unlink()
    Image.new("RGB", (10, 10)).save(run / "renders/truth/3.png")  # another size than its render
    page = read_page(run)
    assert page.words.count("no picture") == 7
    assert "23.45" in page.words


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunDirError):
        write_report(tmp_path / "nowhere")


def test_nothing_held_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {})
    (run / "eval.json").write_text('{"splat": {"psnr": null, "views": {}, "splats": 5}}')
    page = read_page(run)
    assert "No photo was held out" in page.words
    assert "PSNR on" not in page.words


@pytest.mark.parametrize(
    ("state", "word"), [("running", "has not finished yet"), ("failed", "This run failed")]
)
def test_unfinished_runs_say_so(tmp_path: Path, state: str, word: str) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest |= {"state": state, "error": {"what": "the disk is full", "remedy": "free some"}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    page = read_page(run)
    assert word in page.words
    assert "the disk is full" in page.words


def test_values_of_the_wrong_kind_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    views = {"a.jpg": {"psnr": "high", "ssim": float("nan")}, "b.jpg": 7, "c": {"psnr": 1e400}}
    entry = {"psnr": True, "width": -3, "splats": 1e99, "views": views, "definitions": 3}
    (run / "eval.json").write_text(json.dumps({"splat": entry, "x": None}))
    (run / "events.jsonl").write_text(
        '{"type": "step", "seconds": NaN, "loss": 1}\n'
        '{"type": "step", "seconds": 1, "loss": Infinity, "size": null}\n'
        '{"type": "eval", "seconds": 2, "psnr": -5, "views": "all"}\n[]\n7\n'
    )
    manifest = json.loads((run / "manifest.json").read_text())
    manifest |= {"stages": {"sfm": 3, "x": {"seconds": -1}}, "settings": [], "versions": {"a": {}}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    page = read_page(run)
    assert "nan" not in page.words.lower().split()
    assert "-5.00 dB" in page.words


def hostile_run(run: Path) -> Path:
    make_run(run, {EVIL: 20.0, "b.jpg": 25.0})
    for name in ("manifest.json", "events.jsonl", "eval.json"):
        text = (run / name).read_text()
        for word in ("garden", "native_cpu", "no overlap", "resolution rises", "11x11", "700"):
            text = text.replace(word, json.dumps(EVIL)[1:-1])
        (run / name).write_text(text)
    return run


def test_hostile_text_is_escaped(tmp_path: Path) -> None:
    text = write_report(hostile_run(tmp_path / "run")).read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert page.attributes("onerror") == []
    assert page.words.count("owned") > 3


@pytest.mark.parametrize("file", ["../../secret.png", "/etc/x.png", "..", "a\\..\\b.png", "x\0y"])
def test_pictures_outside_of_the_renders_are_not_read(tmp_path: Path, file: str) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "secret.png")
    evals = json.loads((run / "eval.json").read_text())
    evals["splat"]["views"]["a.jpg"]["file"] = file
    evals["../.."] = evals["splat"]
    (run / "eval.json").write_text(json.dumps(evals))
    data = read_run(run)
    assert [m.method for m in data.methods] == ["splat"]
    assert data.methods[0].views[0].file == "a.png"
    assert read_page(run).words.count("no picture") == 3


def test_the_size_of_the_page_is_bounded(tmp_path: Path) -> None:
    """Noise does not compress: the worst that can come."""
    views = {f"{i:03}.jpg": float(i) for i in range(6)}
    run = make_run(tmp_path / "run", views, size=(400, 320))
    data = read_run(run)
    limit = 300_000
    shown = picture_views(data, budget=limit, limit=5)
    assert [v.name for v in shown] == [f"{i:03}.jpg" for i in range(5)]
    pictures = [p for v in shown for p in (v.truth, v.rendered[0].render, v.rendered[0].error)]
    total = sum(len(p.uri) for p in pictures if p is not None)
    assert 0.3 * limit < total < limit
    for view in shown:
        render = view.rendered[0].render
        assert view.truth is not None
        assert render is not None
        assert (view.truth.width, view.truth.height) == (render.width, render.height)


def test_several_methods_stand_side_by_side(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    evals = json.loads((run / "eval.json").read_text())
    nerf = json.loads(json.dumps(evals["splat"]))
    nerf |= {"psnr": 29.0, "parameters": 3_000_000}
    del nerf["views"]["b.jpg"]
    (run / "eval.json").write_text(json.dumps(evals | {"nerf": nerf}))
    shutil.copytree(run / "renders/splat", run / "renders/nerf")
    page = read_page(run)
    assert "Methods compared" in page.words
    assert "PSNR of NeRF on" in page.words
    assert "Error of Gaussian splats" in page.words
    ranked = [name for name, _ in worst_first(read_run(run).methods)]
    assert ranked == ["b.jpg", "e.jpg", "a.jpg", "c/d.jpg"]
    assert page.attributes("class").count("pics many") == 4


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


def test_one_chart_has_the_curves_of_all_methods(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", VIEWS)
    log = events_of("splat", [20.0, 25.0, 27.0]) + events_of("nerf", [15.0, 22.0, 25.5, 26.0])
    (run / "events.jsonl").write_text(log)
    evals = json.loads((run / "eval.json").read_text())
    (run / "eval.json").write_text(json.dumps(evals | {"nerf": evals["splat"]}))
    page = read_page(run)
    (data,) = page.attributes("data-points")
    said = [text for _, _, text in json.loads(data)]
    assert said[0] == "Gaussian splats: 20.00 dB after 10 s"
    assert said[-1] == "NeRF: 26.00 dB after 40 s"
    # Splats had 26.0 dB after 30 s; the NeRF never had 27.0.
    assert "not reached" in page.words
    courses = read_courses(run / "events.jsonl")
    assert reached_other(courses, "splat") == 30.0
    assert reached_other(courses, "nerf") is None


def test_a_race_on_different_views_is_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(events_of("splat", [20.0, 30.0]) + events_of("nerf", [20.0], views=4))
    assert reached_other(read_courses(path), "splat") is None
    path.write_text(events_of("splat", [20.0, 30.0]))
    assert reached_other(read_courses(path), "splat") is None


def test_a_failing_disk_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").write_text("old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_report(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


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


@pytest.mark.browser
def test_in_a_browser(tmp_path: Path) -> None:
    """Nothing is loaded or run that should not be; dragging, enlarging and keys work."""
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    report = write_report(hostile_run(tmp_path / "run"))
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        assert "owned" not in page.title().replace(EVIL, "")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("[...document.images].filter(i => i.src).every(i => i.naturalWidth)")

        split = page.locator(".split").first
        frame = split.bounding_box()
        assert frame is not None
        page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + 5)
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + 5)
        page.mouse.up()
        at = split.evaluate("node => parseFloat(node.style.getPropertyValue('--at'))")
        assert at == pytest.approx(25, abs=1.5)

        page.locator(".view .pics button").nth(1).click()
        dialog = page.locator("dialog")
        assert dialog.locator("h3").inner_text().startswith(EVIL[:20])
        assert dialog.locator(".stage .split").count() == 1
        page.keyboard.press("Escape")
        page.locator(".view .pics button").nth(2).click()
        assert dialog.locator("[aria-pressed=true]").inner_text() == "Error"
        page.keyboard.press("ArrowRight")
        assert dialog.locator("h3").inner_text().startswith("b.jpg")
        assert dialog.locator(".stage > img").count() == 1
        page.keyboard.press("Escape")
        assert not dialog.is_visible()

        chart = page.locator(".chart svg").first
        chart.scroll_into_view_if_needed()
        chart.hover()
        assert "after" in page.locator(".chart figcaption b").first.inner_text()
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
