"""Numbers and names as people read them."""

from __future__ import annotations

STAGE_WORDS = {
    "capture": "Reading the photos",
    "sfm": "Finding the cameras",
    "train_splat": "Training the splats",
    "train_nerf": "Training the NeRF",
    "evaluate_splat": "Measuring the splats",
    "evaluate_nerf": "Measuring the NeRF",
    "report": "Writing this page",
}
METHOD_WORDS = {"splat": "Gaussian splats", "nerf": "NeRF"}
STATE_WORDS = {
    "running": "has not finished yet",
    "stopped": "was stopped early, on request",
    "failed": "failed",
}


def duration(seconds: float) -> str:
    """3.2 s, 48 s, 4 min 31 s, 1 h 05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: float) -> str:
    """12,800 and 1.25 million."""
    return f"{number / 1e6:.2f} million" if number >= 1e6 else f"{round(number):,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 photo, 2 photos."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def method_name(method: str) -> str:
    return METHOD_WORDS.get(method, method)


def stage_name(stage: str) -> str:
    return STAGE_WORDS.get(stage, stage.replace("_", " "))


def share_of_range(psnr: float) -> str:
    """Root mean square error, as a share of the range of a channel, that a PSNR stands for."""
    return f"{100 * 10 ** (-psnr / 20):.1f} %"
