"""Checks and times the CUDA kernels and gsplat on this GPU, in one run of a few minutes.

    python benchmarks/gpu.py [SCENE ...] [--repeats 50] [--preset draft] [--out DIR]

First every stage of a training step at three sizes, by both backends: milliseconds by CUDA events,
and the largest difference of the picture and of the gradients from the CPU kernels. Then a training
step of a hash-grid field and its difference. Then each scene (with its own cameras, or by structure
from motion) is trained by both, and as a NeRF: seconds, PSNR and SSIM of the held-out photos, peak
of torch's GPU memory. Writes DIR/gpu.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from field import MARCH, idle_step, make_field, next_rays
from kernels import make_scene
from record import commit

from recon.capture import load_capture
from recon.evaluate import evaluate
from recon.kernels import layout, native_cpu
from recon.kernels.field_ops import FieldShape, StepResult
from recon.kernels.ops import PinholeView, RasterOptions
from recon.kernels.registry import field_engine, probe, training_backend
from recon.nerf import NerfTrainer, nerf_preset
from recon.scene import PosedScene
from recon.sfm import SfmOptions, pose_capture
from recon.splat import SplatTrainer, splat_preset
from recon.training.loop import LoopTrainer

SIZES = ((480, 270, 12_800), (960, 540, 100_000), (1920, 1080, 1_000_000))
PIXELS = 60.0  # that a splat covers
STAGES = ("forward", "loss", "backward", "adam")


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds of GPU time."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record(torch.cuda.current_stream())
    work()
    end.record(torch.cuda.current_stream())
    end.synchronize()
    return start.elapsed_time(end)


def step_times(name: str, view: PinholeView, rows: torch.Tensor, repeats: int) -> dict[str, float]:
    """Median milliseconds of each stage of a training step, and of a whole step."""
    blocks = layout.rows_to_blocks(rows.cuda())
    first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
    g = torch.Generator().manual_seed(1)
    target = torch.randint(0, 256, (3, view.height, view.width), dtype=torch.uint8, generator=g)
    target = target.cuda()
    settings = layout.AdamSettings((1e-9,) * layout.ROWS)  # the scene stays as it is
    stats = layout.SplatStats.zeros(len(rows), blocks.device)
    engine = training_backend(name).engine()
    samples: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for step in range(1, repeats + 6):
        works = {
            "forward": lambda: engine.forward(blocks, len(rows), view, RasterOptions()),
            "loss": lambda: engine.loss(target),
            "backward": engine.backward,
            "adam": lambda step=step: engine.adam(blocks, first, second, step, settings, stats),
        }
        for stage, work in works.items():
            spent = timed(work)
            if step > 5:
                samples[stage].append(spent)
    engine.drain()
    out = {stage: median(values) for stage, values in samples.items()}
    return out | {"step": sum(out.values())}


def differences(name: str, view: PinholeView, rows: torch.Tensor) -> dict[str, float]:
    """Largest difference of the picture, and relative difference of the gradient of its mean
    square, from the CPU kernels."""
    results = []
    for backend_name in ("native_cpu", name):
        backend = training_backend(backend_name)
        leaf = rows.to(backend.device).clone().requires_grad_()
        out = backend.render(layout.unpack(leaf), view, RasterOptions())
        out.color.square().mean().backward()
        assert leaf.grad is not None
        results.append((out.color.detach().cpu(), leaf.grad.cpu()))
    (image, grad), (other_image, other_grad) = results
    return {
        "image": float((image - other_image).abs().max()),
        "gradient": float((grad - other_grad).norm() / grad.norm()),
    }


def field_step(repeats: int, batch: int = 1 << 16) -> dict[str, float]:
    """Mean milliseconds of a step of a field on our CUDA kernels, by the clock and without a wait
    between steps, live samples a second, and the largest difference of colour from the CPU
    kernels."""
    shape = FieldShape(contracted=False, density_bias=-1.0)
    engine = field_engine("native_cuda", shape)
    state = make_field(engine)
    rays, settle = 512, 10
    for step in range(1, settle + 1):
        result = engine.train_step(state, MARCH, idle_step(step, rays)) or engine.finish_steps()[-1]
        engine.make_room(result)
        if result.complete:
            rays = next_rays(rays, batch, result.live)
    start, results = time.perf_counter(), list[StepResult]()
    for step in range(settle + 1, settle + repeats + 1):
        result = engine.train_step(state, MARCH, idle_step(step, rays))
        results += [] if result is None else [result]
    results += engine.finish_steps()
    spent = time.perf_counter() - start
    g = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(10_000, 3, generator=g) - 1
    directions = torch.nn.functional.normalize(torch.randn(10_000, 3, generator=g), dim=1)
    colors = []
    for name, device in (("native_cpu", torch.device("cpu")), ("native_cuda", engine.device)):
        _, _, color = field_engine(name, shape).query(
            state.weights.to(device), points.to(device), directions.to(device)
        )
        colors.append(color.cpu())
    return {
        "step": 1e3 * spent / repeats,
        "live_per_second": sum(result.live for result in results if result.complete) / spent,
        "difference": float((colors[0] - colors[1]).abs().max()),
    }


def trainer_of(
    method: str, scene: PosedScene, name: str, preset: str
) -> tuple[LoopTrainer, int | None]:
    """A trainer, and the longest side of the photos that it trains on."""
    if method == "nerf":
        nerf = replace(nerf_preset(preset), backend=name, eval_every=None)
        return NerfTrainer(scene, nerf), nerf.long_side
    splat = replace(splat_preset(preset), backend=name, eval_every=None)
    return SplatTrainer(scene, splat), splat.long_side


def train(scene_dir: Path, method: str, name: str, preset: str, out: Path) -> dict[str, float]:
    """Train on a scene's training photos and measure the held-out ones."""
    capture = load_capture(scene_dir)
    scene = pose_capture(capture, out / scene_dir.name, SfmOptions(), lambda _: None, lambda: False)
    torch.cuda.reset_peak_memory_stats()
    trainer, long_side = trainer_of(method, scene, name, preset)
    seconds = 0.0
    for event in trainer.run():
        seconds = getattr(event, "seconds", seconds)
    measured = evaluate(trainer.snapshot(), scene, long_side=long_side)
    return {
        "seconds": seconds,
        "psnr": measured.psnr or 0.0,
        "ssim": measured.ssim or 0.0,
        "torch_peak_mb": torch.cuda.max_memory_allocated() / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Check and time the CUDA kernels and gsplat.")
    parser.add_argument("scenes", nargs="*", type=Path, help="folders of photos to train on")
    parser.add_argument("--repeats", type=int, default=50, help="steps to time at each size")
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark"))
    args = parser.parse_args()
    probes = [probe(name) for name in ("native_cuda", "gsplat")]
    for result in probes:
        print(f"{result.name:12s} {result.detail}")
    names = [result.name for result in probes if result.ok]
    if not names:
        raise SystemExit("no GPU backend works here; see: recon doctor")
    native_cpu.set_thread_count(0)
    record: dict[str, Any] = {"commit": commit(), "gpu": torch.cuda.get_device_name(0)}
    print(f"\n{'ms of':22s} {'backend':12s}" + "".join(f"{s:>10s}" for s in (*STAGES, "step")))
    for width, height, count in SIZES:
        view, rows = make_scene(width, height, count, PIXELS)
        for name in names:
            times = step_times(name, view, rows, args.repeats)
            off = differences(name, view, rows)
            record[f"{width}x{height} {count} {name}"] = {"ms": times, "difference": off}
            label = f"{width}x{height} {count:,}"
            print(
                f"{label:22s} {name:12s}"
                + "".join(f"{times[s]:10.3f}" for s in (*STAGES, "step"))
                + f"   off: image {off['image']:.1e}, gradient {off['gradient']:.1e}",
                flush=True,
            )
    runs = [("splat", name) for name in names]
    if "native_cuda" in names:
        row = record["field"] = field_step(args.repeats)
        print(
            f"{'field, 65,536 samples':22s} {'native_cuda':12s}{row['step']:50.3f}   "
            f"{row['live_per_second'] / 1e6:.1f} M samples/s, off: colour {row['difference']:.1e}"
        )
        runs.append(("nerf", "native_cuda"))
    for scene in args.scenes:
        for method, name in runs:
            result = train(scene.resolve(), method, name, args.preset, args.out / "gpu")
            record[f"{scene.name} {method} {args.preset} {name}"] = result
            label = f"{scene.name}, {method}"
            print(
                f"{label:22s} {name:12s} {args.preset}: {result['seconds']:6.1f} s, "
                f"{result['psnr']:.2f} dB, SSIM {result['ssim']:.3f}",
                flush=True,
            )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
