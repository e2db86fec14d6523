"""The browser viewer: truth, render and error of a trained scene, side by side.

`serve_run` shows a run from disk; `recon.viewer.live` shows a model that is being trained.
Nothing heavy is imported until it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recon.viewer.run import serve_run

__all__ = ["serve_run"]


def __getattr__(name: str) -> object:
    if name == "serve_run":
        from recon.viewer.run import serve_run

        return serve_run
    raise AttributeError(name)
