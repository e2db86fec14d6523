"""Checks and times the CUDA kernels and gsplat on this GPU, in one run of a few minutes.

    python benchmarks/gpu.py [SCENE ...] [--repeats 50] [--preset draft] [--out DIR]

First every stage of a training step at three sizes, by both backends: milliseconds by CUDA events,
and the largest difference of the picture and of the gradients from the CPU kernels. Then each
scene (with its own cameras, or by structure from motion) is trained by both: seconds, PSNR and SSIM
of the held-out photos, peak of torch's GPU memory. Writes DIR/gpu.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from kernels import make_scene
from train import commit

from recon.capture import load_capture
from recon.evaluate import evaluate
from recon.kernels import layout, native_cpu
from recon.kernels.ops import PinholeView, RasterOptions
from recon.kernels.registry import probe, training_backend
from recon.sfm import SfmOptions, pose_capture
from recon.splat import SplatTrainer, splat_preset

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


def train(scene_dir: Path, name: str, preset: str, out: Path) -> dict[str, float]:
    """Train on a scene's training photos and measure the held-out ones."""
    capture = load_capture(scene_dir)
    scene = pose_capture(capture, out / scene_dir.name, SfmOptions(), lambda _: None, lambda: False)
    options = replace(splat_preset(preset), backend=name, eval_every=None)
    torch.cuda.reset_peak_memory_stats()
    trainer = SplatTrainer(scene, options)
    seconds = 0.0
    for event in trainer.run():
        seconds = getattr(event, "seconds", seconds)
    measured = evaluate(trainer.snapshot(), scene, long_side=options.long_side)
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
    for scene in args.scenes:
        for name in names:
            result = train(scene.resolve(), name, args.preset, args.out / "gpu")
            record[f"{scene.name} {args.preset} {name}"] = result
            print(
                f"{scene.name:22s} {name:12s} {args.preset}: {result['seconds']:6.1f} s, "
                f"{result['psnr']:.2f} dB, SSIM {result['ssim']:.3f}",
                flush=True,
            )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
