"""Time what a person at the viewer waits for, in a headless Chromium.

    python benchmarks/viewer.py RUN [--only first,moving,rest] [--model nerf] [--json out.json]
    python benchmarks/viewer.py --training SCENE [--steps 600] [--pairs 2]

RUN is a trained run. `first`: from opening the page to the first picture, to the picture of the
client itself, and what an empty viser page takes to connect, which is the floor. `moving`: frames
a second while the camera is dragged on a canvas of 854x480, as the server renders them and as they
arrive in the page. `rest`: a full picture of 540x960, or with a method that marches rays the first
coarse one and the last. `--training` trains a scene that has cameras with and without a page that
watches and moves half of the time, in turn. A browser without a GPU on the same machine takes a
core for itself: `--idle-browser` leaves its part out of the comparison.

Needs playwright (pip install playwright) and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import viser

from recon.viewer.run import load_run
from recon.viewer.server import PANEL_WIDTH, ServerOptions, ViewerServer
from recon.viewer.workspace import Workspace

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
    "--no-first-run",
    "--disable-background-networking",
)
PORT = 8700
WAIT = 60.0

# Times in ms since the page was opened; `frames`: of pictures that reached WebGL.
PROBE = """
window.probe = {frames: []};
new MutationObserver(list => { for (const change of list) {
  for (const node of change.addedNodes) if (node.id === "recon-opening")
    requestAnimationFrame(() => setTimeout(() => { probe.opening = performance.now(); }));
  for (const node of change.removedNodes) if (node.id === "recon-opening")
    probe.live = performance.now();
}}).observe(document, {childList: true, subtree: true});
for (const name of ["texImage2D", "texSubImage2D"]) {
  const own = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    const source = given[given.length - 1];
    if (source instanceof HTMLImageElement && source.src.startsWith("blob:"))
      probe.frames.push([performance.now(), source.naturalWidth]);
    return own.apply(this, given);
  };
}
window.Worker = class extends window.Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", event => {
      if (event.data && event.data.type === "connected") probe.connected ??= performance.now();
    });
  }
};
"""


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {WAIT:.0f} s in vain for {what}")
        time.sleep(0.01)


@contextmanager
def browser(width: int, height: int, idle: bool = False) -> Iterator[Any]:
    """A page of a fresh profile, with the probe; `idle`: it gets what others leave of the CPU."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("playwright is missing: pip install playwright") from None
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no Chromium here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        profile, program = Path(folder) / "profile", Path(folder) / "browser"
        program.write_text(
            f'#!/bin/sh\nexec {"chrt -i 0 " if idle else ""}{chromium} "$@"\n', "utf-8"
        )
        program.chmod(0o700)
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program,
            args=list(FLAGS),
            viewport={"width": width, "height": height},
        )
        context.set_default_timeout(1000 * WAIT)
        page = context.new_page()
        page.add_init_script(PROBE)
        yield page
        context.close()


def opened(page: Any, server: ViewerServer) -> Any:
    """Open the viewer and wait until it is at rest; its session."""
    page.goto(server.url)
    until(lambda: server.sessions, "the page to connect")
    page.wait_for_function("probe.live !== undefined")
    until(lambda: server.scheduler.idle, "the first picture")
    time.sleep(1.0)
    return server.sessions[0]


def first_picture(server: ViewerServer, repeats: int = 3) -> dict[str, float]:
    """Medians in seconds; our page and an empty one in turn."""
    times: dict[str, list[float]] = {}
    empty = viser.ViserServer(host="127.0.0.1", port=PORT + 60, verbose=False)
    empty.scene.configure_default_lights(enabled=False, cast_shadow=False)
    for _ in range(repeats):
        for name, url in (
            ("empty", f"http://127.0.0.1:{empty.get_port()}"),
            ("ours", server.url),
        ):
            with browser(1280, 800) as page:
                page.goto(url, wait_until="commit")
                what = "connected" if name == "empty" else "live"
                page.wait_for_function(f"probe.{what} !== undefined")
                probe = page.evaluate("probe")
            for key in ("opening", "connected", "live"):
                if key in probe:
                    times.setdefault(f"{name} {key}", []).append(probe[key] / 1000)
    empty.stop()
    return {key: statistics.median(values) for key, values in times.items()}


def moving(server: ViewerServer, seconds: float = 5.0) -> dict[str, float]:
    """Frames a second during a drag, and their usual width."""
    with browser(854 + PANEL_WIDTH, 480) as page:
        opened(page, server)
        mouse, stats = page.mouse, server.scheduler.stats
        mouse.move(427, 240)
        mouse.down()
        mouse.move(440, 240)
        time.sleep(0.5)
        page.evaluate("probe.frames = []")
        rendered, began = stats.frames, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            mouse.move(427 + 200 * (passed / seconds - 0.5), 240 + 40 * (passed % 1.0))
            time.sleep(0.01)
        rendered = stats.frames - rendered
        frames = page.evaluate("probe.frames")
        mouse.up()
    return {
        "frames/s rendered": rendered / passed,
        "frames/s arrived": len(frames) / passed,
        "width": statistics.median([width for _, width in frames] or [0]),
    }


def at_rest(server: ViewerServer, model: str, repeats: int = 7) -> dict[str, float]:
    """Medians in seconds from the wish for a picture of 540x960 to the first and the last one."""
    firsts, lasts, arrived = [], [], []
    with browser(540 + PANEL_WIDTH, 960) as page:
        session = opened(page, server)
        session.set_look(replace(session.look, model=model))
        until(lambda: server.scheduler.idle, "rest")
        canvas = session.canvas
        sent: list[float] = []
        show = session.screen.show

        def watched(picture: Any, *, sharp: bool) -> None:
            show(picture, sharp=sharp)
            sent.append(time.monotonic())

        session.screen.show = watched
        for _ in range(repeats):
            time.sleep(0.5)
            sent.clear()
            page.evaluate("probe.frames = []; probe.asked = performance.now()")
            began = time.monotonic()
            session.refresh()
            until(lambda: sent and server.scheduler.idle, "the picture")
            firsts.append(sent[0] - began)
            lasts.append(sent[-1] - began)
            page.wait_for_function("probe.frames.length > 0")
            arrived.append(page.evaluate("probe.frames[0][0] - probe.asked") / 1000)
    return {
        "width": canvas[0],
        "height": canvas[1],
        "first": statistics.median(firsts),
        "first in the page": statistics.median(arrived),
        "last": statistics.median(lasts),
    }


def watch(url: str, stop: threading.Event, idle: bool) -> None:
    """A person who looks, and drags for half of the time."""
    with browser(1280, 800, idle) as page:
        while not stop.is_set():
            try:
                page.goto(url)
                break
            except Exception:  # The fit is not that far yet.
                time.sleep(0.5)
        while not stop.is_set():
            page.mouse.move(400, 400)
            page.mouse.down()
            for step in range(100):
                page.mouse.move(400 + step, 400)
                time.sleep(0.02)
            page.mouse.up()
            stop.wait(2.0)


def done_after(manifest: Path, began: float) -> bool:
    """Whether a fit that began at this time is done."""
    if not manifest.is_file() or manifest.stat().st_mtime < began:
        return False
    return json.loads(manifest.read_text("utf-8"))["state"] == "done"


def train(scene: Path, steps: int, watched: bool, out: Path, idle: bool = False) -> float:
    """Steps a second of training a draft; `idle`: see `browser`."""
    command = [sys.executable, "-m", "recon", "fit", str(scene), "--preset", "draft"]
    command += ["--steps", str(steps), "--out", str(out), "--no-resume"]
    if watched:
        command += ["--view", "--port", str(PORT + 80)]
    began = time.time()
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(f"http://127.0.0.1:{PORT + 80}", stop, idle))
    fit = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
    if watched:
        watcher.start()
    if watched:  # it goes on serving when all is done
        manifest = out / "manifest.json"
        while fit.poll() is None and not done_after(manifest, began):
            time.sleep(0.5)
        while fit.poll() is None:
            fit.send_signal(signal.SIGINT)
            time.sleep(1.0)
    fit.wait()
    stop.set()
    if watched:
        watcher.join()
    training = json.loads((out / "manifest.json").read_text("utf-8"))["training"]["splat"]
    rate = training["steps"] / training["seconds"]
    print(f"{'watched' if watched else 'alone'}: {rate:.1f} steps/s", file=sys.stderr, flush=True)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description="Time what a person at the viewer waits for.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--only", default="first,moving,rest")
    parser.add_argument("--model", default="", help="as listed under Model; the first one if empty")
    parser.add_argument("--training", type=Path, metavar="SCENE")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument(
        "--idle-browser",
        action="store_true",
        help="the watching browser gets what training leaves of the CPU, as one elsewhere would",
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {"load": os.getloadavg()[0]}
    if args.training is not None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            results["alone"], results["watched"] = [], []
            for _ in range(args.pairs):
                results["alone"].append(train(args.training, args.steps, False, out))
                results["watched"].append(
                    train(args.training, args.steps, True, out, args.idle_browser)
                )
    if args.run is not None:
        only = args.only.split(",")
        content = load_run(args.run)
        named = content.model(args.model)
        if named is not None:
            chosen = (named, *(m for m in content.models if m.key != named.key))
            content = replace(content, models=chosen)
            results["model"] = f"{named.label}, size {named.model.size:,}"
        with ViewerServer(Workspace(content), ServerOptions(port=PORT)) as server:
            if "first" in only:
                results["first"] = first_picture(server)
            if "moving" in only:
                results["moving"] = moving(server)
            if "rest" in only:
                results["rest"] = at_rest(server, args.model)
    text = json.dumps(results, indent=1)
    print(text)
    if args.json is not None:
        args.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
