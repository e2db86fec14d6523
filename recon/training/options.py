"""What the options of all methods share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from recon.errors import OptionError

T = TypeVar("T")


def check_common(steps: int, time_budget: float | None, long_side: int | None) -> None:
    """Refuse what makes no sense for any method.

    Args:
        steps: training steps.
        time_budget: seconds, or None.
        long_side: longest side of the training images in pixels, or None for the photos' own.

    Raises:
        OptionError: one of them is out of range.
    """
    if steps < 1:
        raise OptionError(f"steps must be at least 1, not {steps}")
    if time_budget is not None and time_budget <= 0:
        raise OptionError(f"the time budget must be positive, not {time_budget}")
    if long_side is not None and long_side < 16:
        raise OptionError(f"the resolution must be at least 16 pixels, not {long_side}")


def choose_preset(presets: Mapping[str, T], name: str) -> T:
    """The options of a preset.

    Raises:
        OptionError: there is no such preset.
    """
    if name not in presets:
        raise OptionError(
            f"there is no preset {name!r}", remedy=f"choose one of {', '.join(presets)}"
        )
    return presets[name]
