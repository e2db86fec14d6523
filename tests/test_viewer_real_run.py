"""A real capture, fitted by the real code, opened in the viewer: what the pane shows is what
`recon eval` measured."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from viewer_pages import gets_picture, last_picture, open_page

from recon.fit import FitOptions, run_fit
from recon.metrics import psnr
from recon.viewer.compare import ComparisonPicture
from recon.viewer.compose import place_panes
from recon.viewer.images import resize_rgb
from recon.viewer.run import load_run
from recon.viewer.server import ServerOptions, ViewerServer
from recon.viewer.workspace import Workspace

pytest.importorskip("recon.kernels._native", reason="the native kernels are not built")
pytestmark = pytest.mark.slow

PHOTOS = 10
CANVAS = (1200, 700)


@pytest.fixture(scope="module")
def run_dir(shared_scene: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps on some photos of the fox, at their own cameras. The first photo, which is held
    out, has a mask."""
    fox = shared_scene("fox")
    scene = tmp_path_factory.mktemp("fox")
    transforms = json.loads((fox / "transforms.json").read_text())
    frames = [f for f in transforms["frames"] if (fox / f["file_path"]).is_file()]
    frames = sorted(frames, key=lambda frame: frame["file_path"])[:PHOTOS]
    (scene / "transforms.json").write_text(json.dumps({**transforms, "frames": frames}))
    (scene / "images").mkdir()
    for frame in frames:
        shutil.copy(fox / frame["file_path"], scene / frame["file_path"])
    mask = np.full((1920, 1080), 255, np.uint8)
    mask[:, :400] = 0
    (scene / "masks").mkdir()
    Image.fromarray(mask).save(scene / "masks" / f"{Path(frames[0]['file_path']).stem}.png")
    options = FitOptions(
        scene,
        preset="draft",
        steps=40,
        max_splats=3000,
        resolution=240,
        device="cpu",
        poses="given",
    )
    run_fit(options)
    return options.run_path


def test_the_pane_shows_what_was_measured(run_dir: Path) -> None:
    """The figure is equal, and so is that of the pixels themselves before they are encoded."""
    entries = json.loads((run_dir / "eval.json").read_text())["splat"]["views"]
    assert [entry["masked"] for entry in entries.values()].count(True) == 1
    assert len(entries) >= 2

    async def visit() -> dict[str, tuple[ComparisonPicture, bytes]]:
        found = {}
        async with open_page(server.port, CANVAS) as page:
            assert await gets_picture(page)
            (session,) = server.sessions
            for name in entries:
                flight = asyncio.create_task(asyncio.to_thread(session.compare, name))

                def measured(name: str = name) -> bool:
                    at = session.board.picture
                    return (
                        at is not None
                        and at.view is not None
                        and at.view.name == name
                        and at.rendered[0].score is not None
                    )

                file = await last_picture(page, measured)
                await flight
                assert session.board.picture is not None
                found[name] = session.board.picture, file
        return found

    workspace = Workspace(load_run(run_dir))
    with ViewerServer(workspace, ServerOptions(port=8740)) as server:
        shown = asyncio.run(visit())
    for name, (picture, file) in shown.items():
        expected = entries[name]["psnr"]
        (rendered,) = picture.rendered
        assert rendered.score is not None
        assert rendered.score.psnr == pytest.approx(expected, abs=0.001)
        assert rendered.score.ssim == pytest.approx(entries[name]["ssim"], abs=0.0001)
        assert f"  {expected:.2f} dB" in picture.panes()[1].title
        assert (picture.counted is not None) == entries[name]["masked"]
        assert picture.truth is not None
        seen = psnr(rendered.image, picture.truth, picture.counted)
        assert seen == pytest.approx(expected, abs=0.01)
        # And that is what reaches the page, but for JPEG: below the captions, in their places.
        canvas = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        assert canvas.shape == (*CANVAS[::-1], 3)
        places = place_panes(3, picture.width / picture.height, *CANVAS)
        for place, pane in zip(places, picture.panes(), strict=True):
            drawn = resize_rgb(pane.image, place.width, place.height)[40:]
            received = canvas[place.y :, place.x :][40 : place.height, : place.width]
            assert psnr(np.ascontiguousarray(received), np.ascontiguousarray(drawn)) > 30, name
