"""`recon view`: a run directory from disk into the browser."""

from __future__ import annotations

import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from recon.errors import ReconError
from recon.viewer.server import ServerOptions, ViewerServer, is_loopback
from recon.viewer.workspace import (
    Content,
    Curve,
    MethodScore,
    ViewScore,
    Workspace,
)

Loader = Callable[[Path], Content]


def serve_run(
    run_dir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    readonly: bool = False,
) -> None:
    """Show a finished (or interrupted) run in the browser until Ctrl-C.

    Args:
        run_dir: the run directory, or the scene folder that holds it.
        host: address to listen on; anything but this machine's own is warned of.
        port: first port to try.
        open_browser: open the page.
        readonly: for demonstrations: nothing can be written from the page.

    Raises:
        ReconError: there is no run, or no port to listen on.
    """
    from recon.fit.rundir import RunDir

    run = RunDir.find(run_dir)
    options = ServerOptions(host=host, port=port, readonly=readonly)
    workspace = Workspace(Content(title=Path(run.manifest.scene).name))
    # Both at once: the model should be there when the page is.
    load_in_background(workspace, run.path, load_run)
    with ViewerServer(workspace, options) as server:
        for line in greeting(server):
            print(line, flush=True)
        if open_browser:
            webbrowser.open(server.url)
        wait_for_interrupt()
    print("Stopped.", flush=True)


def greeting(server: ViewerServer) -> list[str]:
    """What the terminal says at the start."""
    options = server.options
    lines = [f"Viewer: {server.url}   (Ctrl-C stops it)"]
    if server.port != options.port:
        lines.insert(0, f"Port {options.port} is in use; using {server.port} instead.")
    if not is_loopback(options.host):
        what = "look at this scene" if options.readonly else "look at and change this scene"
        lines.append(
            f"Warning: the viewer listens on {options.host}. Everyone who can reach this machine "
            f"over the network can {what}; there is no password and no encryption. "
            "Leave --host away to keep it to yourself."
        )
    return lines


def wait_for_interrupt() -> None:
    """Return on Ctrl-C."""
    try:
        while True:
            time.sleep(3600.0)
    except KeyboardInterrupt:
        return


def load_in_background(workspace: Workspace, run_dir: Path, load: Loader) -> threading.Thread:
    """Fill the workspace while the page already stands; what goes wrong is told on it."""

    def work() -> None:
        try:
            content = load(run_dir)
        except ReconError as error:
            workspace.fail(str(error))
        except Exception as error:  # The page must tell, whatever it was.
            workspace.fail(f"The run could not be loaded: {type(error).__name__}: {error}")
        else:
            workspace.update(lambda before: replace(content, title=before.title))

    thread = threading.Thread(target=work, name="recon-load", daemon=True)
    thread.start()
    return thread


def load_run(run_dir: Path) -> Content:
    """Scene, models and figures of a run.

    Raises:
        ReconError: poses or models are missing or unreadable.
    """
    from recon.fit.eventlog import read_events
    from recon.fit.rundir import RunDir
    from recon.sfm import load_scene
    from recon.viewer.models import load_models

    run = RunDir.load(run_dir)
    scene = load_scene(run_dir)
    models = load_models(run)
    entries = run.read_eval()
    return Content(
        phase="ready",
        note="",
        scene=scene,
        models=models,
        scores=read_scores(entries),
        curve=read_curve(read_events(run.events, models[0].model.method)),
        eval_long_side=eval_long_side(entries),
        run_dir=run.path,
    )


def read_scores(entries: dict[str, Any]) -> tuple[MethodScore, ...]:
    """`eval.json` as rows; entries that are not as documented are left out."""
    rows: list[MethodScore] = []
    for method, entry in entries.items():
        try:
            rows.append(
                MethodScore(
                    method=method,
                    psnr=float(entry["psnr"]),
                    ssim=float(entry["ssim"]),
                    train_seconds=_number(entry.get("train_seconds")),
                    size=int(entry.get("splats", entry.get("parameters", 0))) or None,
                    views={
                        str(name): ViewScore(float(view["psnr"]), float(view["ssim"]))
                        for name, view in entry["views"].items()
                    },
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return tuple(rows)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def eval_long_side(entries: dict[str, Any]) -> int | None:
    """The longest side that was measured: photos of other sizes may be smaller, and stay so."""
    sizes: list[int] = []
    for entry in entries.values():
        views = entry.get("views") if isinstance(entry, dict) else None
        for view in views.values() if isinstance(views, dict) else ():
            with suppress(KeyError, TypeError, ValueError):
                sizes.append(max(int(view["width"]), int(view["height"])))
    return max(sizes, default=None)


def read_curve(events: list[dict[str, Any]]) -> Curve:
    """`events.jsonl` as curves."""
    steps = [e for e in events if e.get("type") == "step" and "loss" in e]
    evals = [e for e in events if e.get("type") == "eval" and "psnr" in e]
    return Curve(
        steps=tuple(int(e["step"]) for e in steps),
        losses=tuple(float(e["loss"]) for e in steps),
        eval_steps=tuple(int(e["step"]) for e in evals),
        psnrs=tuple(float(e["psnr"]) for e in evals),
    )
