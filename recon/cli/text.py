"""Numbers and durations as people read them."""

from __future__ import annotations

from recon.fit.events import StageName
from recon.fit.quality import size_unit
from recon.fit.summary import FitSummary, MethodResult
from recon.model import StepEvent

STAGE_TITLES: dict[StageName, str] = {
    "capture": "photos",
    "sfm": "cameras",
    "train_splat": "splats",
    "evaluate_splat": "evaluation",
    "train_nerf": "NeRF",
    "evaluate_nerf": "evaluation",
    "report": "report",
}


def duration(seconds: float) -> str:
    """0.84 s, 42 s, 3:05 min, 1:02:03 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"


def rough_duration(seconds: float | None) -> str:
    """about 42 s, or: not known."""
    return "not known" if seconds is None else f"about {duration(seconds)}"


def short_count(count: int) -> str:
    """950, 18.3k, 1.25M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 1_000_000 else f"{count / 1e6:.2f}M"


def training_line(event: StepEvent, psnr: float | None, method: str) -> str:
    """What matters most first: a narrow terminal cuts off the end."""
    parts = [f"{event.step}/{event.total_steps}", f"{duration(event.eta_seconds)} left"]
    if psnr is not None:
        parts.append(f"{psnr:.2f} dB")
    parts += [
        f"{short_count(event.size)} {size_unit(method)}",
        f"{event.steps_per_second:.1f} step/s",
        f"loss {event.loss:.4f}",
    ]
    return "  ".join(parts)


def summary_text(summary: FitSummary) -> str:
    """The end of `recon fit`."""
    lines = []
    if summary.state == "stopped":
        at = ", ".join(f"{r.steps:,} of {r.method}" for r in summary.results)
        lines.append(f"Stopped at step {at}; the same command goes on. So far:")
    for result in summary.results:
        lines += _result_lines(result, named=len(summary.results) > 1)
    times: dict[str, float] = {}
    for stage, title in STAGE_TITLES.items():
        if stage in summary.seconds:
            times[title] = times.get(title, 0.0) + summary.seconds[stage]
    stages = "   ".join(f"{title} {duration(seconds)}" for title, seconds in times.items())
    lines += [
        f"  report     {summary.report}",
        f"  time       {stages}",
        f"  look       {summary.view_command}",
    ]
    return "\n".join(lines)


def _result_lines(result: MethodResult, *, named: bool) -> list[str]:
    """Quality and model of a method."""
    quality = "not measured (no photo is held out)"
    if result.psnr is not None and result.ssim is not None:
        quality = (
            f"PSNR {result.psnr:.2f} dB   SSIM {result.ssim:.4f}   "
            f"({result.views} photos never trained on, {result.width}x{result.height})"
        )
    head = f"{result.method}: " if named else ""
    return [
        f"  held out   {head}{quality}",
        f"  model      {result.size:,} {size_unit(result.method)}, {result.model}",
    ]
