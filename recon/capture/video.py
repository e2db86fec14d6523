"""Frames out of a video: sharp ones, spread by motion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image

from recon.capture.motion import FrameFacts, MotionMeter, choose_frames, sharpness
from recon.errors import CaptureError, FormatError

MOST_FRAMES = 120
"""Frames that are taken at most; SfM on two cores takes a few minutes for them."""

LONGEST_SIDE = 2560
MAX_VIDEO_FRAMES = 200_000
_LOOK_WIDTH = 480
_MOTION_WIDTH = 240
_MAX_SIDE = 16384
_LOOK_AT = 3000
_SMALLEST = 160

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VideoFrames:
    """What was taken of a video.

    Attributes:
        taken: indices of the frames.
        total: frames in the video.
        cut: the video ends in the middle or is damaged: what came before is used.
    """

    taken: tuple[int, ...]
    total: int
    cut: bool


def extract_frames(
    video: Path, folder: Path, progress: Progress, most: int = MOST_FRAMES
) -> VideoFrames:
    """Write the best frames of a video as `folder/frame_NNNNNN.jpg`, upright.

    Args:
        video: any file that FFmpeg reads.
        folder: is emptied first if it exists.
        progress: called with (done, total) in frames, over both passes.
        most: frames not to exceed.

    Raises:
        FormatError: not a video, damaged from the start, or beyond the limits.
        CaptureError: too short, or the camera never moves.
        OSError: the frames cannot be written.
    """
    facts, total, cut = _look(video, progress)
    chosen = choose_frames(facts, most)
    if len(chosen) < 3:
        raise CaptureError(
            "the camera does not move in this video"
            if len(facts) >= 3
            else f"this video has only {len(facts)} frames",
            where=video,
            remedy="film for 20 to 60 seconds while you walk slowly around the scene",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write(video, folder, set(chosen), lambda done: progress(total + done, 2 * total))
    return VideoFrames(tuple(chosen), total, cut)


def _look(video: Path, progress: Progress) -> tuple[list[FrameFacts], int, bool]:
    """Facts of the frames that are looked at, the number of frames, and whether it broke off."""
    facts: list[FrameFacts] = []
    meter = MotionMeter()
    index, cut = -1, False
    with _opened(video) as container:
        stream = container.streams.video[0]
        expected = _expected(stream)
        every = max(1, expected // _LOOK_AT)
        try:
            for index, frame in enumerate(_decoded(container, video)):
                if index % every:
                    continue
                look = _grey(frame, _LOOK_WIDTH)
                motion = meter(_grey(frame, _MOTION_WIDTH))
                facts.append(FrameFacts(index, sharpness(look), motion))
                progress(index, 2 * max(expected, index))
        except av.error.FFmpegError as error:
            if not facts:
                raise _unreadable(video, error) from error
            cut = True
    if not facts:
        raise FormatError("this video holds no pictures", where=video, remedy="record it again")
    return facts, index + 1, cut


def _write(video: Path, folder: Path, chosen: set[int], progress: Callable[[int], None]) -> None:
    last = max(chosen)
    with _opened(video) as container:
        for index, frame in enumerate(_decoded(container, video)):
            if index in chosen:
                image = _upright(frame)
                image.save(folder / f"frame_{index:06d}.jpg", quality=95, subsampling=0)
                progress(index)
            if index == last:
                return


@contextmanager
def _opened(video: Path) -> Iterator[InputContainer]:
    try:
        container = av.open(str(video), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(video, error) from error
    with container:
        if not container.streams.video:
            raise FormatError("there is no picture in this file", where=video)
        stream = container.streams.video[0]
        sides = (stream.width, stream.height)
        if not all(_SMALLEST <= side <= _MAX_SIDE for side in sides):
            raise FormatError(
                f"a picture of {sides[0]}x{sides[1]} pixels cannot be used",
                where=video,
                remedy=f"its sides must have {_SMALLEST} to {_MAX_SIDE} pixels",
            )
        stream.thread_type = "AUTO"
        yield container


def _decoded(container: InputContainer, video: Path) -> Iterator[VideoFrame]:
    size = None
    for index, frame in enumerate(container.decode(video=0)):
        size = size or (frame.width, frame.height)
        if index >= MAX_VIDEO_FRAMES or (frame.width, frame.height) != size:
            raise FormatError(
                "the pictures change their size"
                if index < MAX_VIDEO_FRAMES
                else f"more than {MAX_VIDEO_FRAMES} frames",
                where=video,
                remedy="cut the part of it that shows the scene, a minute or so",
            )
        yield frame


def _expected(stream: av.VideoStream) -> int:
    """Number of frames that the file claims, for progress only."""
    if stream.frames > 0:
        return min(stream.frames, MAX_VIDEO_FRAMES)
    if stream.duration and stream.time_base and stream.average_rate:
        return min(int(stream.duration * stream.time_base * stream.average_rate), MAX_VIDEO_FRAMES)
    return 0


def _grey(frame: VideoFrame, width: int) -> np.ndarray:
    """(H, W) float32 grey picture of about the given width, neither side under a block."""
    scale = max(min(1.0, width / frame.width), 72 / min(frame.width, frame.height))
    size = (max(72, round(frame.width * scale)), max(72, round(frame.height * scale)))
    small = frame.reformat(width=size[0], height=size[1], format="gray")
    return small.to_ndarray().astype(np.float32)


def _upright(frame: VideoFrame) -> Image.Image:
    image = frame.to_image()
    turn = round(frame.rotation) % 360
    if turn in (90, 180, 270):
        # FFmpeg's angle is counter-clockwise, as Pillow's.
        image = image.rotate(turn, expand=True)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return image


def _unreadable(video: Path, error: Exception) -> FormatError:
    return FormatError(
        f"this video cannot be read ({json.dumps(str(error))[:120]})",
        where=video,
        remedy="play it to see whether it is whole; convert it with: ffmpeg -i IN -c:v libx264 "
        "OUT.mp4",
    )
