"""Sharpness and exposure of all photos, judged on the working copies that SfM has anyway."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from recon.capture.look import LOOK_SIDE, PhotoLook, look_at
from recon.sfm.context import SfmContext
from recon.sfm.job import JobImage


def look_at_photos(
    context: SfmContext, copies: Path, images: tuple[JobImage, ...]
) -> dict[str, PhotoLook]:
    """Photo name -> look.

    Args:
        context: the call's.
        copies: folder of the working copies.
        images: from `job_images`, their copies written.

    Raises:
        SfmCancelled: the caller asked to stop.
    """
    looks: dict[str, PhotoLook] = {}

    def look(image: JobImage) -> None:
        # A copy that somebody deletes meanwhile is SfM's trouble, which reports it.
        if os.path.exists(copies / image.file):
            with Image.open(copies / image.file) as copy:
                copy.draft("L", (LOOK_SIDE, LOOK_SIDE))
                looks[image.name] = look_at(copy)

    tasks = [lambda image=image: look(image) for image in images]
    context.in_threads("photos", "judging sharpness and exposure", tasks)
    return looks
