"""When one method was as good as another in the end."""

from __future__ import annotations

from collections.abc import Mapping

from recon.report.data import TrainingCourse


def reached_other(courses: Mapping[str, TrainingCourse], method: str) -> float | None:
    """Seconds of training after which `method` first measured the other's last held-out PSNR.

    None where it never did, where there is no other or more than one, and where the two were
    measured on different numbers of views, which cannot be compared.
    """
    others = [course for name, course in courses.items() if name != method and course.psnr]
    own = courses.get(method)
    if own is None or len(others) != 1 or own.psnr_views != others[0].psnr_views:
        return None
    final = others[0].psnr[-1][1]
    return next((seconds for seconds, psnr in own.psnr if psnr >= final), None)
