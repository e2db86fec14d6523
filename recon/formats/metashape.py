"""Cameras as Agisoft Metashape exports them: File > Export > Export Cameras, XML.

Distortion follows the manual's appendix "Camera models" (frame cameras): as OpenCV's, with the
two tangential coefficients the other way round.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.errors import FormatError
from recon.formats.lens import Lens, PosedLens
from recon.formats.rigid import pose_at

MAX_BYTES = 64 << 20
MAX_CAMERAS = 100_000
_REMEDY = "export the cameras again (File > Export > Export Cameras), or use --poses sfm"


def is_metashape(path: Path) -> bool:
    """Whether the file's beginning looks like such an export."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return b"<document" in head and b"<chunk" in head


def read_metashape(path: Path) -> dict[str, PosedLens]:
    """Camera label (a photo's file name, often without its ending) -> lens and pose.

    The world is the chunk's own, scaled to its unit (metres) where the export states it. Cameras
    that were not aligned are left out.

    Raises:
        FormatError: malformed, of a kind that cannot be undistorted, or values out of range.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError("larger than 64 MiB")
        text = path.read_bytes()
        # Entities can blow up a small file; no export has any.
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise FormatError("holds XML entities")
        return _chunk(ET.fromstring(text))
    except FormatError as error:
        raise FormatError(error.what, where=path, remedy=error.remedy or _REMEDY) from error
    # LookupError: the head names an encoding that nobody knows.
    except (
        OSError,
        ET.ParseError,
        ValueError,
        LookupError,
        OverflowError,
        RecursionError,
    ) as error:
        raise FormatError(f"not readable XML ({error})", where=path, remedy=_REMEDY) from error


def _chunk(document: ET.Element) -> dict[str, PosedLens]:
    chunk = document.find("chunk")
    if chunk is None:
        raise FormatError("there is no chunk in this file")
    lenses = {sensor.get("id", ""): sensor for sensor in chunk.iterfind("sensors//sensor")}
    scale = _chunk_scale(chunk)
    out: dict[str, PosedLens] = {}
    for camera in chunk.iterfind("cameras//camera"):
        matrix = camera.findtext("transform")
        if matrix is None:
            continue  # not aligned
        label = camera.get("label", "")
        sensor = lenses.get(camera.get("sensor_id", ""))
        if not label or sensor is None:
            raise FormatError(f"the camera {label!r} has no label or no sensor")
        if label in out:
            raise FormatError(f"two cameras have the label {label!r}")
        out[label] = PosedLens(_lens(sensor), _pose(matrix, scale, label))
        if len(out) > MAX_CAMERAS:
            raise FormatError(f"more than {MAX_CAMERAS} cameras")
    return out


def _chunk_scale(chunk: ET.Element) -> float:
    text = chunk.findtext("transform/scale")
    scale = 1.0 if text is None else float(text)
    if not 1e-9 < scale < 1e9:
        raise FormatError("the chunk's scale is out of range")
    return scale


def _lens(sensor: ET.Element) -> Lens:
    calibrations = sensor.findall("calibration")
    found = next((c for c in calibrations if c.get("class") == "adjusted"), None)
    if found is None:
        found = calibrations[0] if calibrations else None
    resolution = sensor.find("resolution") if found is None else found.find("resolution")
    if resolution is None:
        resolution = sensor.find("resolution")
    if found is None or resolution is None:
        raise FormatError("a sensor has no calibration")
    kind = found.get("type", sensor.get("type", "frame"))
    if kind != "frame":
        raise FormatError(f"only frame cameras are supported, not {kind[:20]!r}")

    def number(name: str) -> float:
        value = float(found.findtext(name) or 0.0)
        if not math.isfinite(value):
            raise FormatError(f"{name} is not finite")
        return value

    focal = number("f")
    for name in ("k4", "b2"):
        if abs(number(name)) > 1e-9 * (1.0 if name == "k4" else max(focal, 1.0)):
            raise FormatError(
                f"the calibration has {name}, which recon cannot undistort",
                remedy=f"optimise the cameras without {name} and export them again",
            )
    width = int(resolution.get("width", "0"))
    height = int(resolution.get("height", "0"))
    return Lens(
        width,
        height,
        focal + number("b1"),
        focal,
        0.5 * width + number("cx"),
        0.5 * height + number("cy"),
        k=(number("k1"), number("k2"), number("k3"), 0.0, 0.0, 0.0),
        p=(number("p2"), number("p1")),
    )


def _pose(text: str, scale: float, label: str) -> NDArray[np.float64]:
    """`cam_from_world` of the 16 numbers of a camera-to-chunk matrix, OpenCV axes."""
    words = text.split()
    if len(words) != 16:
        raise FormatError(f"the transform of {label!r} is not 4x4")
    matrix = np.array([float(word) for word in words]).reshape(4, 4)
    return pose_at(matrix[:3, :3], scale * matrix[:3, 3], label)
