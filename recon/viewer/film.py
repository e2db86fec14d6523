"""Pictures into an mp4 film that plays everywhere (H.264, yuv420p)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

from recon.errors import OptionError
from recon.viewer.images import Rgb8


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The size with both sides even, as yuv420p needs."""
    return max(2, size[0] - size[0] % 2), max(2, size[1] - size[1] % 2)


def encode_film(pictures: Iterable[Rgb8], size: tuple[int, int], rate: int) -> bytes:
    """An mp4 file of pictures (H, W, 3), all of `size` (width, height), both even.

    Raises:
        OptionError: there are no pictures, or this build of av has no H.264 encoder.
    """
    import av
    import av.error

    file = io.BytesIO()
    empty = True
    with av.open(file, mode="w", format="mp4") as container:
        try:
            stream = container.add_stream("libx264", rate=Fraction(rate))
        except (av.error.FFmpegError, ValueError) as error:
            raise OptionError(
                f"this installation cannot make mp4 films ({error})",
                remedy="reinstall av: pip install --force-reinstall av",
            ) from error
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "medium"}
        for picture in pictures:
            empty = False
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    if empty:
        raise OptionError("a film needs at least one picture")
    return file.getvalue()
