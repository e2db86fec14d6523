"""What is drawn over the picture in 3D: the photos' cameras and the sparse cloud, for one client.

Made when first shown: a page that only wants the model does not pay for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import viser

from recon.scene import PosedScene, View
from recon.viewer.cameras import to_viser, vertical_fov
from recon.viewer.photos import Photos

TRAIN_COLOUR = (40, 120, 255)
TEST_COLOUR = (255, 140, 0)
UNKNOWN_COLOUR = (130, 130, 130)
MAX_CLOUD = 60_000
MAX_PICTURES = 400
"""Frustums beyond this carry no photo: the page would grow too heavy."""


class Overlays:
    """Frustums and cloud of one client; each is built once, then shown or hidden."""

    def __init__(
        self,
        client: viser.ClientHandle,
        scene: PosedScene,
        photos: Photos,
        on_pick: Callable[[str], None],
    ) -> None:
        self._client = client
        self._scene = scene
        self._photos = photos
        self._on_pick = on_pick
        self._lock = threading.Lock()
        self._cameras: viser.FrameHandle | None = None
        self._cloud: viser.PointCloudHandle | None = None
        self._want_cameras = self._want_cloud = False
        self._hidden = False
        self._frustums: dict[str, viser.CameraFrustumHandle] = {}
        self._psnrs: dict[str, float] | None = None

    def colour_by(self, psnrs: dict[str, float] | None) -> None:
        """Colour the cameras by quality (photo name -> dB; grey where unknown), or by split."""
        with self._lock:
            if psnrs == self._psnrs:
                return
            self._psnrs = psnrs
            for view in self._scene.views:
                if view.name in self._frustums:
                    self._frustums[view.name].color = self._colour(view)

    def _colour(self, view: View) -> tuple[int, int, int]:
        if self._psnrs is None:
            return TEST_COLOUR if view.split == "test" else TRAIN_COLOUR
        return quality_colour(self._psnrs.get(view.name), self._psnrs)

    def show(self, cameras: bool, cloud: bool) -> None:
        """Which overlays the person wants."""
        with self._lock:
            self._want_cameras, self._want_cloud = cameras, cloud
            if cameras and self._cameras is None:
                self._build_cameras()
            if cloud and self._cloud is None:
                self._build_cloud()
            self._apply()

    def hide(self, hidden: bool) -> None:
        """Hide all for a while: in a comparison the canvas shows pictures, not the space."""
        with self._lock:
            self._hidden = hidden
            self._apply()

    def _apply(self) -> None:
        if self._cameras is not None:
            self._cameras.visible = self._want_cameras and not self._hidden
        if self._cloud is not None:
            self._cloud.visible = self._want_cloud and not self._hidden

    def _build_cloud(self) -> None:
        points = self._scene.points
        step = max(1, -(-len(points) // MAX_CLOUD))
        self._cloud = self._client.scene.add_point_cloud(
            "/cloud",
            points=points.xyz[::step],
            colors=points.rgb[::step],
            point_size=0.004,
            point_shape="circle",
        )

    def _build_cameras(self) -> None:
        self._cameras = self._client.scene.add_frame("/cameras", show_axes=False)
        scale = frustum_scale(self._scene)
        for index, view in enumerate(self._scene.views):
            self._add_camera(view, scale, with_photo=index < MAX_PICTURES)

    def _add_camera(self, view: View, scale: float, with_photo: bool) -> None:
        camera = view.camera
        wxyz, position = to_viser(camera)
        handle = self._client.scene.add_camera_frustum(
            f"/cameras/{view.name.replace('/', '_')}",
            fov=vertical_fov(camera),
            aspect=camera.width / camera.height * camera.fy / camera.fx,
            scale=scale,
            color=self._colour(view),
            thickness=1.5,
            thickness_units="screen",
            image=self._photos.thumbnail(view, self._scene) if with_photo else None,
            format="jpeg",
            jpeg_quality=75,
            wxyz=wxyz,
            position=position,
            cast_shadow=False,
            receive_shadow=False,
        )

        self._frustums[view.name] = handle

        @handle.on_click
        def _(_: object, name: str = view.name) -> None:
            self._on_pick(name)


def quality_colour(psnr: float | None, all_psnrs: dict[str, float]) -> tuple[int, int, int]:
    """From red, the worst photo, over yellow to green, the best; grey without a figure."""
    if psnr is None:
        return UNKNOWN_COLOUR
    low, high = min(all_psnrs.values()), max(all_psnrs.values())
    x = (psnr - low) / (high - low) if high > low else 1.0
    red, green = (230, round(40 + 340 * x)) if x < 0.5 else (round(230 - 380 * (x - 0.5)), 210)
    return red, green, 40


def frustum_scale(scene: PosedScene) -> float:
    """A size at which neighbouring cameras do not hide one another: half their usual distance."""
    centres = np.array([view.camera.centre for view in scene.views])
    if len(centres) < 2:
        return 0.1
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = float(np.median(distances.min(axis=1)))
    return float(np.clip(0.5 * nearest, 0.02, 0.2))
