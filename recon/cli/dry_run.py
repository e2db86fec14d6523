"""`recon fit --dry-run`: what would be done, and roughly at what cost."""

from __future__ import annotations

import json
from dataclasses import asdict

from recon.cli.text import STAGE_TITLES, rough_duration
from recon.fit.forecast import Forecast, forecast
from recon.fit.options import FitOptions
from recon.fit.parts import FitParts
from recon.fit.storage import megabytes

NOT_ON_A_GPU = (
    "How long training takes on a GPU was never measured and is left out. Memory is main memory,\n"
    "as if the CPU trained; whether the GPU's is enough is looked at before training begins."
)


def dry_run(options: FitOptions, *, as_json: bool, parts: FitParts | None = None) -> int:
    """Print the forecast; nothing is written."""
    result = forecast(options, parts)
    if as_json:
        print(json.dumps(asdict(result), indent=1, default=str))
    else:
        print(forecast_text(result))
    return 0


def forecast_text(result: Forecast) -> str:
    """A small table for people."""
    lines = [
        f"{result.photos} photos, {result.held_out} held out; trained at "
        f"{result.width}x{result.height}; cameras: {result.poses}; backend: {result.backend}",
        f"would write to {result.run}" + (f" ({result.found})" if result.found else ""),
        "",
        f"  {'stage':<12}{'time':>12}{'memory':>10}{'disk':>10}",
    ]
    for stage in result.stages:
        title = STAGE_TITLES[stage.name]
        if stage.done:
            lines.append(f"  {title:<12}{'done':>12}")
            continue
        lines.append(
            f"  {title:<12}{rough_duration(stage.seconds):>12}"
            f"{megabytes(stage.memory):>10}{megabytes(stage.disk):>10}"
        )
    lines += [
        f"  {'together':<12}{rough_duration(result.seconds):>12}"
        f"{megabytes(result.memory):>10}{megabytes(result.disk):>10}",
        "",
        f"free here: {megabytes(result.free_disk)} of disk"
        + (f", {megabytes(result.free_memory)} of memory" if result.free_memory else ""),
        "Estimates, good to about a factor of two. Nothing was written.",
        *([NOT_ON_A_GPU] if result.seconds is None else []),
        *(f"warning: {warning}" for warning in result.warnings),
    ]
    return "\n".join(lines)
