"""Film the bundled scene: a clip as a phone would take it, with pauses, pans, haste and shake.

The frames are renders of a model that recon trained on the scene, at half the size of the video
and enlarged: path tracing that many would take a day. Each frame is the mean of several moments
while the shutter was open, so fast parts are smeared.

    recon fit scenes/studio --preset draft
    python scenes/make_clip.py scenes/studio/recon clip.mp4     # 20 seconds, 1920x1080
    recon fit clip.mp4 --preset draft
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from recon.evaluate import to_rgb8
from recon.fit.models import load_model
from recon.fit.parts import default_parts
from recon.fit.rundir import RunDir
from recon.geometry import Camera
from recon.scene import PosedScene

FPS, SHUTTER = 24, 0.5  # a shutter of 180 degrees
MOST_MOMENTS = 24
VIEWS_PER_SECOND = 1.6  # 12 degrees a view: a lap in 19 seconds
HASTE, HASTE_PERIOD = 0.85, 5.0
PAN_DEGREES, PAN = 25.0, (7.5, 11.5)
SHAKE_DEGREES, SHAKES = 0.35, ((2.3, 0.0), (3.1, 1.0), (4.7, 2.5))  # hertz, phase


class Walk:
    """The camera at any time: along the run's own views, and what a hand adds to that."""

    def __init__(self, scene: PosedScene, size: tuple[int, int]) -> None:
        views = sorted(scene.views, key=lambda view: view.name)
        stations = np.arange(len(views))
        poses = np.stack([view.camera.world_from_cam for view in views])
        self._centres = CubicSpline(stations, poses[:, :3, 3])
        self._turns = RotationSpline(stations, Rotation.from_matrix(poses[:, :3, :3]))
        lens = views[0].camera
        # As wide as the photos; a video's picture is lower.
        self._focal = lens.fx * size[0] / lens.width
        self._size = size

    def at(self, seconds: float) -> Camera:
        station = max(0.0, VIEWS_PER_SECOND * _hasty(seconds))
        start, end = PAN
        phase = np.clip((seconds - start) / (end - start), 0.0, 1.0)
        pan = PAN_DEGREES * math.sin(2 * math.pi * phase)
        shake = [
            SHAKE_DEGREES * math.sin(2 * math.pi * rate * seconds + phase) for rate, phase in SHAKES
        ]
        hand = Rotation.from_euler("yxz", [pan + shake[0], shake[1], shake[2]], degrees=True)
        pose = np.eye(4)
        turn = (self._turns(station) * hand).as_matrix()
        pose[:3, :3] = turn.T
        pose[:3, 3] = -turn.T @ self._centres(station)
        width, height = self._size
        return Camera(width, height, self._focal, self._focal, width / 2, height / 2, pose)

    def motion(self, seconds: float) -> float:
        """About how many pixels the picture moves while the shutter is open."""
        one, other = self.at(seconds), self.at(seconds + SHUTTER / FPS)
        turn = one.cam_from_world[:3, :3] @ other.cam_from_world[:3, :3].T
        angle = math.acos(min(1.0, max(-1.0, (np.trace(turn) - 1) / 2)))
        return self._focal * angle


def _hasty(seconds: float) -> float:
    """Time as the walker has it: slow and fast by turns."""
    turn = 2 * math.pi / HASTE_PERIOD
    return seconds - HASTE / turn * math.sin(turn * seconds)


def frames(run: RunDir, seconds: float, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames (H, W, 3), 0..255, one after another."""
    parts = default_parts()
    model = load_model(run, parts, "splat")
    walk = Walk(parts.load_scene(run.path), size)
    for index in range(round(seconds * FPS)):
        start = index / FPS
        moments = min(MOST_MOMENTS, max(1, math.ceil(walk.motion(start))))
        times = start + SHUTTER / FPS * (np.arange(moments) + 0.5) / moments
        pictures = [model.render(walk.at(float(time))).color for time in times]
        yield to_rgb8(np.mean(pictures, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="a finished recon run of the scene")
    parser.add_argument("out", type=Path, help="the video to write, .mp4")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    args = parser.parse_args()
    half = (args.width // 2, args.height // 2)
    with av.open(str(args.out), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height = 2 * half[0], 2 * half[1]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "veryfast"}
        for index, picture in enumerate(frames(RunDir.find(args.run), args.seconds, half)):
            large = Image.fromarray(picture).resize(
                (stream.width, stream.height), Image.Resampling.BICUBIC
            )
            container.mux(stream.encode(av.VideoFrame.from_image(large)))
            if index % FPS == 0:
                print(f"second {index // FPS}", flush=True)
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
