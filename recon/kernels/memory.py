"""A GPU's memory: refusing what will not fit before it is asked for, and saying so in our own words
where it ran out all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from recon.errors import TrainingError

REMEDY = (
    "lower --resolution (for splats also --max-splats), choose a smaller --preset, or close what"
    " else uses the GPU"
)


def out_of_memory(detail: str) -> TrainingError:
    """The error for a GPU whose memory ran out."""
    return TrainingError(f"the GPU has too little memory: {detail}", remedy=REMEDY)


@contextmanager
def typed_out_of_memory() -> Iterator[None]:
    """Turns torch's own error for a full GPU into ours.

    Raises:
        TrainingError: torch asked for more than the GPU has left.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        asked = re.search(r"Tried to allocate ([\d.]+ \w+)", str(error))
        size = asked[1] if asked else "more"
        raise out_of_memory(f"torch asked for {size} that the GPU does not have left") from error


def require_free(what: str, need: int, free: int, *, bound: str = "about") -> None:
    """Refuse `what`, which takes `need` bytes, where only `free` are left.

    Args:
        bound: how `need` is meant, "about" or "at least".

    Raises:
        TrainingError: it will not fit.
    """
    if need > free:
        raise TrainingError(
            f"{what} takes {bound} {need / 1e9:.1f} GB of GPU memory, of which {free / 1e9:.1f} GB"
            " are free",
            remedy=REMEDY,
        )


def give_back_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the GPU, for those who ask for it there."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


class GuardedEngine:
    """A native engine that asks the GPU for memory itself. A call that finds too little is made
    once more after torch has given back what it keeps for later.

    Args:
        engine: whose calls change nothing when they fail for want of memory.
        failure: what they raise then.
        device: torch's.

    Raises:
        TrainingError: from any call, when there is too little memory all the same.
    """

    def __init__(self, engine: Any, failure: type[Exception], device: torch.device) -> None:
        self._engine = engine
        self._failure = failure
        self._device = device

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._engine, name)

        def guarded(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except self._failure:
                give_back_cache(self._device)
            try:
                return call(*arguments)
            except self._failure as error:
                raise out_of_memory(str(error)) from error

        return guarded
