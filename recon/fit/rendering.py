"""Rendering the trained models of a run to pictures or a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recon.errors import OptionError
from recon.evaluate import picture_files, save_png, to_rgb8
from recon.fit.models import load_model, trained_methods
from recon.fit.options import MethodName
from recon.fit.orbit import orbit_cameras
from recon.fit.parts import FitParts, default_parts
from recon.fit.rundir import RunDir
from recon.fit.storage import clear_disk_errors, make_writable_folder
from recon.geometry import Camera
from recon.model import RenderOptions
from recon.scene import PosedScene

Views = Literal["test", "train", "all", "orbit"]
Picture = NDArray[np.uint8]
MAX_SIDE = 16384


@dataclass(frozen=True)
class RenderJob:
    """What to render.

    Attributes:
        views: whose cameras; "orbit" flies around the scene.
        out: a folder for PNG files, or a file that ends in .mp4.
        size: width and height in pixels; None for the size of the photos.
        frames: pictures of the flight.
        fps: pictures a second of a video.
        method: whose model; None for those of all methods of the run: pictures then go to a
            folder for each, and a video shows them side by side.
    """

    views: Views
    out: Path
    size: tuple[int, int] | None = None
    frames: int = 120
    fps: int = 30
    method: MethodName | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not all(8 <= side <= MAX_SIDE for side in self.size):
            raise OptionError(f"--size must lie between 8x8 and {MAX_SIDE}x{MAX_SIDE}")
        if not 1 <= self.frames <= 100_000:
            raise OptionError("--frames must lie between 1 and 100,000")
        if not 1 <= self.fps <= 240:
            raise OptionError("--fps must lie between 1 and 240")

    @property
    def video(self) -> bool:
        return self.out.suffix.lower() == ".mp4"


class PictureSink(Protocol):
    """Takes pictures, in order."""

    def __call__(self, file: str, picture: Picture, /) -> None: ...


def render_run(
    path: Path,
    job: RenderJob,
    progress: Callable[[int, int], None] = lambda done, total: None,
    parts: FitParts | None = None,
) -> int:
    """Render the models of a run; returns the number of pictures (of frames of a video).

    Raises:
        RunDirError: there is no run, it has no such model yet, or `job.out` cannot be written to.
        OptionError: there is no view of the wanted kind.
    """
    run = RunDir.find(path)
    parts = parts or default_parts()
    models = {name: load_model(run, parts, name) for name in trained_methods(run, job.method)}
    scene = parts.load_scene(run.path)
    named = tuple(_cameras(scene, job))
    if not named:
        raise OptionError(f"this run has no {job.views} views", remedy="choose other --views")
    options = RenderOptions(background=scene.background or (0.0, 0.0, 0.0), still=not job.video)
    open_sink: AbstractContextManager[PictureSink] = (
        _video(job.out, named, job.fps, len(models)) if job.video else _pictures(job.out)
    )
    with clear_disk_errors(job.out), open_sink as sink:
        for done, (file, camera) in enumerate(named):
            progress(done, len(named))
            renders = {m: to_rgb8(models[m].render(camera, options).color) for m in models}
            if job.video:
                sink(file, np.concatenate(list(renders.values()), axis=1))
            else:
                for method, picture in renders.items():
                    sink(file if len(renders) == 1 else f"{method}/{file}", picture)
    return len(named) if job.video else len(named) * len(models)


def _cameras(scene: PosedScene, job: RenderJob) -> Iterator[tuple[str, Camera]]:
    if job.views == "orbit":
        first = scene.views[0].camera
        width, height = _even(job.size or (first.width, first.height), job.video)
        for index, camera in enumerate(orbit_cameras(scene, job.frames, width, height)):
            yield f"{index:05d}.png", camera
        return
    chosen = [view for view in scene.views if job.views in ("all", view.split)]
    files = picture_files(view.name for view in chosen)
    for view in chosen:
        size = job.size or (view.camera.width, view.camera.height)
        yield files[view.name], view.camera.resized(*_even(size, job.video))


def _even(size: tuple[int, int], video: bool) -> tuple[int, int]:
    """H.264 in the pixel format that every player knows has even sides only."""
    return (size[0] // 2 * 2, size[1] // 2 * 2) if video else size


@contextmanager
def _pictures(folder: Path) -> Iterator[PictureSink]:
    make_writable_folder(folder)

    yield lambda file, picture: save_png(folder / file, picture)


@contextmanager
def _video(
    path: Path, named: Sequence[tuple[str, Camera]], fps: int, abreast: int
) -> Iterator[PictureSink]:
    import av

    sizes = {(camera.width, camera.height) for _, camera in named}
    if len(sizes) > 1:
        raise OptionError(
            "these photos differ in size and cannot form one video",
            remedy="give one size for all with --size, or render PNG files",
        )
    make_writable_folder(path.parent)
    # Under another name until it is whole: half a video does not play.
    partial = path.with_name(f".{path.stem}.part.mp4")
    try:
        with av.open(str(partial), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps))
            width, height = next(iter(sizes))
            stream.width, stream.height = abreast * width, height
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "18", "preset": "medium"}

            def encode(file: str, picture: Picture) -> None:
                del file
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))

            yield encode
            container.mux(stream.encode(None))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
