"""The comparison of methods: what is recorded, README tables, and foreign programs by contract."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import peers
import plot
import pytest
import record
import tables
import torch
from peers import compare
from peers.nerfstudio import VARIABLE as NERFSTUDIO
from peers.opensplat import VARIABLE as OPENSPLAT
from record import Result
from test_export import make_run, random_cloud

from recon.formats.splat_ply import write_splat_ply
from recon.scene import PosedScene
from recon.sfm import load_scene

RESULT = Result(
    scene="fox",
    preset="draft",
    method="splat",
    options="",
    description="",
    settings={},
    backend="native_cpu",
    commit="0123456789abcdef",
    machine={"processor": "Some CPU", "cores": 2},
    note="The machine was shared",
    photos=50,
    psnr=29.74,
    ssim=0.858,
    width=540,
    height=960,
    views=7,
    size=49_980,
    size_unit="splats",
    train_seconds=105.2,
    stages={"sfm": 29.0},
    curve=((10.0, 20.0), (60.0, 27.0)),
    curve_views=4,
    peak_mb=1340.0,
)


def test_a_result_comes_back_and_another_file_is_refused(tmp_path: Path) -> None:
    path = record.save(RESULT, tmp_path)
    assert path.name == "fox-draft-splat.json"
    assert record.load_all(tmp_path) == [RESULT]
    record.save(replace(RESULT, description="the fox"), tmp_path)
    assert record.with_known_description(RESULT, tmp_path).description == "the fox"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(SystemExit, match="version 2"):
        record.load(path)
    path.write_text("[]")
    with pytest.raises(SystemExit, match="not a benchmark result"):
        record.load(path)


def test_the_drawing_has_a_line_for_each_method() -> None:
    other = replace(RESULT, method="nerf", curve=(), psnr=28.0, train_seconds=300.0)
    root = ElementTree.fromstring(plot.time_against_psnr([RESULT, other]))
    lines = [e for e in root.iter() if e.get("class") == "line"]
    texts = " ".join(e.text or "" for e in root.iter())
    assert len(lines) == 2
    assert "splat, draft: 29.74 dB" in texts
    assert "nerf, draft: 28.00 dB" in texts


def test_the_table_says_what_was_measured_where() -> None:
    text = tables.table([RESULT, replace(RESULT, preset="standard", commit=None, peak_mb=None)])
    assert "| fox, 50 photos, 540x960 | splat | draft | 29.7 dB | 0.858 |" in text
    assert "| 29 s | 1:45 min | 1.3 GB |" in text
    assert "Some CPU, 2 cores" in text
    assert "The machine was shared." in text


def test_the_readme_follows_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    record.save(RESULT, tmp_path / "benchmarks" / "results")
    assert tables.main(["--check"], tmp_path) == 1
    assert "tables.py" in capsys.readouterr().out
    assert tables.main([], tmp_path) == 0
    assert tables.main(["--check"], tmp_path) == 0
    readme.write_text(readme.read_text().replace("29.7 dB", "39.7 dB"))
    assert tables.main(["--check"], tmp_path) == 1
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="marks"):
        tables.main([], tmp_path)


def test_no_figure_in_our_readme_was_written_by_hand() -> None:
    assert tables.main(["--check"]) == 0


def executable(path: Path, body: str) -> None:
    """A stand-in program in Python; `body` has the words of its command line in `args`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"#!{sys.executable}\nimport json, pathlib, shutil, sys\nargs = sys.argv[1:]\n"
    path.write_text(head + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


NS_TRAIN = """
value = lambda name: args[args.index(name) + 1]
assert args[0] == "nerfacto" and "nerfstudio-data" in args
assert value("--pipeline.model.camera-optimizer.mode") == "off"
data = pathlib.Path(value("--data"))
seen = json.loads((data / "transforms.json").read_text())
assert len(seen["frames"]) == 9 and len(seen["train_filenames"]) == 7
assert (data / seen["ply_file_path"]).is_file()
assert all((data / frame["file_path"]).is_file() for frame in seen["frames"])
out = pathlib.Path(value("--output-dir")) / value("--experiment-name") / "nerfacto"
out = out / value("--timestamp")
(out / "nerfstudio_models").mkdir(parents=True)
(out / "config.yml").write_text(str(data))
shutil.copy("CHECKPOINT", out / "nerfstudio_models" / "step-000000009.ckpt")
print("trained", value("--max-num-iterations"))
"""

NS_RENDER = """
value = lambda name: args[args.index(name) + 1]
assert args[0] == "dataset" and value("--split") == "test"
data = pathlib.Path(pathlib.Path(value("--load-config")).read_text())
out = pathlib.Path(value("--output-path")) / "test" / "rgb"
out.mkdir(parents=True)
for name in json.loads((data / "transforms.json").read_text())["test_filenames"]:
    shutil.copy(data / name, out / pathlib.Path(name).name)
"""

OPENSPLAT_PROGRAM = """
data, out = pathlib.Path(args[0]), args[args.index("-o") + 1]
assert (data / "sparse/0/points3D.bin").is_file() and "--keep-crs" in args
names = sorted(path.name for path in (data / "images").iterdir())
assert len(names) == 7 and "p__000.png" not in names, names
shutil.copy("TRAINED", out)
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PosedScene:
    """A posed scene, in place of what the front end would make of photos."""
    posed = load_scene(make_run(tmp_path / "run"))
    real = compare.default_parts()
    capture = type("Capture", (), {"photos": posed.views})()
    parts = replace(
        real,
        load_capture=lambda *arguments: capture,  # pyright: ignore[reportArgumentType]
        pose_capture=lambda *arguments: posed,
    )
    monkeypatch.setattr(compare, "default_parts", lambda: parts)
    return posed


def test_nerfacto_by_contract(
    scene: PosedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "model.ckpt"
    state = {"pipeline": {"a": torch.zeros(5, 7)}, "optimizers": {"b": torch.zeros(1000)}}
    torch.save(state, checkpoint)
    home = tmp_path / "ns"
    executable(home / "bin" / "ns-train", NS_TRAIN.replace("CHECKPOINT", str(checkpoint)))
    executable(home / "bin" / "ns-render", NS_RENDER)
    monkeypatch.setenv(NERFSTUDIO, str(home))
    result = peers.train("nerfacto", tmp_path, "draft", "", tmp_path / "out", 10)
    # It hands back the photos themselves.
    assert result.psnr > 90
    assert (result.method, result.size, result.size_unit) == ("nerfacto", 35, "parameters")
    assert result.settings["max_num_iterations"] == 10
    assert result.views == 2
    assert len(scene.test_views) == 2
    assert json.loads(record.save(result, tmp_path / "r").read_text())["preset"] == "draft"


def test_opensplat_by_contract(
    scene: PosedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = tmp_path / "trained.ply"
    write_splat_ply(trained, random_cloud())
    executable(tmp_path / "bin" / "opensplat", OPENSPLAT_PROGRAM.replace("TRAINED", str(trained)))
    monkeypatch.setenv(OPENSPLAT, str(tmp_path / "bin"))
    result = peers.train("opensplat", tmp_path, "draft", "", tmp_path / "out", 10)
    assert (result.method, result.size) == ("opensplat", 300)
    assert np.isfinite(result.psnr)
    assert scene.train_views


@pytest.mark.parametrize(
    ("name", "variable", "word"),
    [("nerfacto", NERFSTUDIO, "pip install nerfstudio"), ("opensplat", OPENSPLAT, "libtorch")],
)
def test_an_absent_peer_says_how_to_get_it(
    name: str, variable: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="not installed") as caught:
        peers.find(name)
    assert word in str(caught.value)
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(SystemExit, match="has no program"):
        peers.find(name)
    with pytest.raises(SystemExit, match="no such method"):
        peers.find("magic")


def test_a_failing_peer_shows_the_end_of_its_output(
    scene: PosedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del scene
    executable(tmp_path / "bin" / "opensplat", "print('out of luck')\nsys.exit(3)\n")
    monkeypatch.setenv(OPENSPLAT, str(tmp_path / "bin"))
    with pytest.raises(SystemExit, match="code 3") as caught:
        peers.train("opensplat", tmp_path, "draft", "", tmp_path / "out", None)
    assert "out of luck" in str(caught.value)
