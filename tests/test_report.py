"""The report of whole, partial, broken and hostile run directories."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from report_cases import VIEWS, Page, events_of, hostile_run, make_run, read_page

from recon.errors import RunDirError
from recon.report import write_report
from recon.report.data import read_courses, read_run
from recon.report.pictures import picture_views, worst_first
from recon.report.race import reached_other


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
