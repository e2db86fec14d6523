"""The last bundle adjustment: robust, and with the principal point as far as photos tell it.

Runs only in the worker process.

Where the principal point lies trades almost freely against the cameras' rotation. Left in the
middle it costs up to 0.7 degrees (fox, whose sensor is 15 pixels off centre); freed, it drifts
where the photos hardly determine it (fountain at draft: 40 pixels, 0.9 degrees). So it is
freed, its covariance is asked for, and it goes back towards the middle by as much as a prior
on ordinary cameras says. That takes fox from 0.66 to 0.12 degrees, fountain from 0.47 to 0.10.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pycolmap
from numpy.typing import NDArray

_MIN_PHOTOS = 5
"""A camera of fewer photos keeps its principal point in the middle."""

_ITERATIONS = 25
_LOSS_PIXELS = 1.0
_CLIP_PIXELS = 3.0

_PRIOR_SHARE = 0.0075
"""Standard deviation of the principal point over ordinary cameras, share of the longer side."""

_OVERCONFIDENCE = 4.0
"""Measured errors of the principal point over the standard deviations that the covariance
claims: neighbouring features err alike, and lenses are not quite what their model says."""


def refine(model: pycolmap.Reconstruction, token: pycolmap.CancellationToken) -> None:
    """Adjust cameras, lenses and points together, in place."""
    uses = Counter(model.image(i).camera_id for i in model.reg_image_ids())
    if min(uses.values()) >= _MIN_PHOTOS:
        before = {camera_id: np.array(model.camera(camera_id).params) for camera_id in uses}
        centres = {camera_id: _centre(model.camera(camera_id)) for camera_id in uses}
        adjuster = _adjust(model, free_centre=True)
        if token.is_cancelled:
            return
        covariances = _centre_covariances(model, adjuster, list(uses))
        for camera_id, covariance in covariances.items():
            camera = model.camera(camera_id)
            if covariance is None:
                camera.params = before[camera_id].tolist()
            else:
                _set_centre(camera, _shrunk(camera, centres[camera_id], covariance))
    if not token.is_cancelled:
        _adjust(model, free_centre=False)
    model.update_point_3d_errors()


def _adjust(model: pycolmap.Reconstruction, *, free_centre: bool) -> pycolmap.CeresBundleAdjuster:
    """Adjust with a robust loss, which keeps the odd wrong match from bending the lens."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = free_centre
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = _LOSS_PIXELS
    options.ceres.solver_options.max_num_iterations = _ITERATIONS
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
    adjuster.solve()
    return adjuster


def _centre(camera: pycolmap.Camera) -> NDArray[np.float64]:
    return np.array([camera.principal_point_x, camera.principal_point_y])


def _set_centre(camera: pycolmap.Camera, centre: NDArray[np.float64]) -> None:
    camera.principal_point_x, camera.principal_point_y = (float(value) for value in centre)


def _centre_covariances(
    model: pycolmap.Reconstruction,
    adjuster: pycolmap.CeresBundleAdjuster,
    camera_ids: list[int],
) -> dict[int, NDArray[np.float64] | None]:
    """(2, 2) covariance in square pixels of each principal point; None where not determined."""
    options = pycolmap.BACovarianceOptions()
    options.params = pycolmap.BACovarianceOptionsParams.ALL
    estimate = pycolmap.estimate_ba_covariance(options, model, adjuster)
    noise = _noise_variance(model)
    out: dict[int, NDArray[np.float64] | None] = {}
    for camera_id in camera_ids:
        camera = model.camera(camera_id)
        full = None if estimate is None else estimate.get_other_params_cov(camera.params)
        where = camera.principal_point_idxs()
        block = None if full is None else noise * np.asarray(full)[np.ix_(where, where)]
        usable = block is not None and np.all(np.isfinite(block)) and np.all(np.diag(block) > 0)
        out[camera_id] = block if usable else None
    return out


def _shrunk(
    camera: pycolmap.Camera, expected: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The most probable principal point, from the fitted one and the `expected` one."""
    prior = np.eye(2) * (_PRIOR_SHARE * max(camera.width, camera.height)) ** 2
    fit = covariance * _OVERCONFIDENCE**2
    return expected + prior @ np.linalg.solve(prior + fit, _centre(camera) - expected)


def _noise_variance(model: pycolmap.Reconstruction) -> float:
    """Variance of one coordinate of an observation, square pixels; gross errors clipped."""
    squares = []
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        camera, pose = model.camera(image.camera_id), image.cam_from_world()
        seen = [(point.xy, point.point3D_id) for point in image.get_observation_points2D()]
        if not seen:
            continue
        pixels = np.array([xy for xy, _ in seen])
        xyz = np.array([model.point3D(point_id).xyz for _, point_id in seen])
        in_cam = xyz @ pose.rotation.matrix().T + pose.translation
        squares.append(np.sum((np.asarray(camera.img_from_cam(in_cam)) - pixels) ** 2, axis=1))
    clipped = np.minimum(np.concatenate(squares), _CLIP_PIXELS**2)
    return float(0.5 * clipped.mean())
