"""Does a model agree with the matches that it was made from? A test for wrong models.

A model can have all photos and a reprojection error of a pixel and still be wrong, since the
mapper drops the matches that contradict it. Counting those that it dropped tells: under
0.1 % of pairs in seven good models, 10 to 14 % in three bad ones.
"""

from __future__ import annotations

import numpy as np
import pycolmap
from numpy.typing import NDArray

F64 = NDArray[np.float64]

MIN_INLIERS = 200
MAX_ERROR = 4.0
MIN_AGREEMENT = 0.5


def agreement(
    model: pycolmap.Reconstruction, database: pycolmap.Database
) -> dict[tuple[int, int], bool]:
    """Ids of well matched pairs of photos -> whether half of the matches fit the model's poses."""
    registered = set(model.reg_image_ids())
    rays: dict[int, F64] = {}
    verdicts: dict[tuple[int, int], bool] = {}
    for pair_id, geometry in zip(*database.read_two_view_geometries(), strict=True):
        first, second = pycolmap.pair_id_to_image_pair(pair_id)
        matches = geometry.inlier_matches
        if len(matches) < MIN_INLIERS or not {first, second} <= registered:
            continue
        for image_id in (first, second):
            if image_id not in rays:
                rays[image_id] = _rays(model, database, image_id)
        images = model.image(first), model.image(second)
        pixel = 0.5 * sum(1.0 / model.camera(i.camera_id).mean_focal_length() for i in images)
        second_from_first = (
            images[1].cam_from_world() * images[0].cam_from_world().inverse()
        ).matrix()
        error = sampson_error(
            second_from_first, rays[first][matches[:, 0]], rays[second][matches[:, 1]]
        )
        fits = np.mean(error < MAX_ERROR * pixel) >= MIN_AGREEMENT
        verdicts[first, second] = bool(fits)
    return verdicts


def inconsistent_share(verdicts: dict[tuple[int, int], bool]) -> float:
    """Share (0..1) of well matched pairs that contradict the model; NaN if there are none."""
    if not verdicts:
        return float("nan")
    return float(np.mean([not agrees for agrees in verdicts.values()]))


def _rays(model: pycolmap.Reconstruction, database: pycolmap.Database, image_id: int) -> F64:
    """(N, 2) undistorted rays (x/z, y/z) of a photo's keypoints."""
    camera = model.camera(model.image(image_id).camera_id)
    keypoints = database.read_keypoints(image_id)[:, :2].astype(np.float64)
    return np.asarray(camera.cam_from_img(keypoints))


def sampson_error(second_from_first: F64, first: F64, second: F64) -> F64:
    """Distance (N,), in units of the rays, of matches from the epipolar geometry of a pose.

    Args:
        second_from_first: (3, 4) rigid transform between the two cameras.
        first, second: (N, 2) rays (x/z, y/z) of the matches in each camera.
    """
    rotation, t = second_from_first[:, :3], second_from_first[:, 3]
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    essential = cross @ rotation
    one = np.ones((len(first), 1))
    x1, x2 = np.hstack([first, one]), np.hstack([second, one])
    line2, line1 = x1 @ essential.T, x2 @ essential
    algebraic = np.sum(x2 * line2, axis=1)
    slope = line2[:, 0] ** 2 + line2[:, 1] ** 2 + line1[:, 0] ** 2 + line1[:, 1] ** 2
    return np.abs(algebraic) / np.sqrt(np.maximum(slope, 1e-30))
