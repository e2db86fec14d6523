"""Time every kernel of the native CPU engine, beside the machine's own ceilings.

    python benchmarks/kernels.py [--json FILE] [--threads N] [--isa NAME] [--large] [--sweep]
                                 [--scaling]

Prints, for several sizes, the median milliseconds of each stage of a training step, and the share
of the ceiling that binds it: multiply-adds for rasterisation and loss, memory bandwidth for the
passes over splats. The ceilings are measured in the same run. Splats are random but of a realistic
overdraw; the work is counted by the engine, not assumed. `--sweep` shows how the cost follows the
evaluations that count, over numbers, sizes and resolutions; `--scaling` repeats a step with 1, 2, 4
... threads.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

import torch

from recon.kernels import layout, native_cpu
from recon.kernels.ops import PinholeView, RasterOptions, SplatTensors

# Floating-point operations for each lane, counted in cuda_ext/cpu (a multiply-add is
# two; comparisons, masks and minima are none). Terms shared by the two vectors of a micro count
# half. Forward: exponent 7, exp2 11, blending 8. Backward: the same 18, ratio 2, derivative 11,
# sums 16.
FORWARD_FLOP = 26
BACKWARD_FLOP = 47
# For each pixel and channel in cuda_ext/cpu/loss.inl: seven separable blurs of 5 sums and 6
# products twice, and the pointwise part. (Borders of blocks, computed twice, do not count.)
LOSS_FLOP = 3 * (7 * 2 * 17 + 45)
PARAMETER_BYTES = layout.ROWS * 4
RECORD_BYTES = 64
SUMS_BYTES = 48

SIZES = ((270, 480, 12_800), (270, 480, 34_600), (540, 960, 100_000))
LARGE = ((1080, 1920, 1_000_000),)


def make_scene(
    width: int, height: int, count: int, pixels: float
) -> tuple[PinholeView, torch.Tensor]:
    """A view and `count` random splats in its frustum, each covering about `pixels` pixels within
    two standard deviations. Returns the rows."""
    g = torch.Generator().manual_seed(0)
    focal = 1.1 * width
    depth = 1 + 4 * torch.rand(count, 1, generator=g)
    extent = torch.tensor([width / focal, height / focal]) * 1.1
    xy = (torch.rand(count, 2, generator=g) - 0.5) * extent * depth
    radius = math.sqrt(pixels / math.pi) / 2
    splats = SplatTensors(
        means=torch.cat([xy, depth], 1),
        quats=torch.randn(count, 4, generator=g),
        log_scales=torch.log(depth * radius / focal) + 0.4 * torch.randn(count, 3, generator=g),
        logit_opacities=1.5 * torch.randn(count, generator=g) - 0.5,
        sh=0.3 * torch.randn(count, 16, 3, generator=g),
    )
    view = PinholeView(
        width,
        height,
        focal,
        focal,
        width / 2,
        height / 2,
        (1, 0, 0, 0, 1, 0, 0, 0, 1),
        (0.0, 0.0, 0.0),
    )
    return view, layout.pack(splats)


def measure(
    width: int, height: int, count: int, pixels: float, isa: str, seconds: float
) -> dict[str, float]:
    """Median milliseconds of each stage, and the work done, of training steps on one view."""
    view, rows = make_scene(width, height, count, pixels)
    blocks = layout.rows_to_blocks(rows)
    first, second = torch.zeros_like(blocks), torch.zeros_like(blocks)
    target = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    # Rates so small that the scene stays as it is.
    settings = layout.AdamSettings((1e-9,) * layout.ROWS)
    engine = native_cpu.Engine(isa)
    samples: dict[str, list[float]] = {}
    step, end = 0, time.perf_counter() + seconds
    while step < 5 or time.perf_counter() < end:
        step += 1
        engine.timings()
        start = time.perf_counter()
        engine.forward(blocks, count, view, RasterOptions())
        engine.loss(target)
        engine.backward()
        engine.adam(blocks, first, second, step, settings)
        stages = engine.timings() | {"step": time.perf_counter() - start}
        start = time.perf_counter()
        engine.forward(blocks, count, view, RasterOptions())
        engine.output()
        stages["render"] = time.perf_counter() - start
        if step > 2:  # the first ones allocate
            for name, value in stages.items():
                samples.setdefault(name, []).append(value)
    out = {name: 1e3 * statistics.median(values) for name, values in samples.items()}
    visible, pairs, _ = engine.counts
    lanes, evaluations = engine.work()
    return out | {
        "width": width,
        "height": height,
        "splats": count,
        "visible": visible,
        "pairs": pairs,
        "lanes": lanes,
        "evaluations": evaluations,
    }


def shares(row: dict[str, float], gflops: float, gbs: float) -> dict[str, float]:
    """Share of the binding ceiling, 0..1, for each stage that has one."""

    def arithmetic(stage: str, flop: float) -> float:
        return flop / (row[stage] * 1e6) / gflops

    def bandwidth(stage: str, size: float) -> float:
        return size / (row[stage] * 1e6) / gbs

    pixels = row["width"] * row["height"]
    seen = row["visible"]
    return {
        "project": bandwidth("project", seen * (PARAMETER_BYTES + RECORD_BYTES)),
        "raster_forward": arithmetic("raster_forward", row["evaluations"] * FORWARD_FLOP),
        "loss": arithmetic("loss", pixels * LOSS_FLOP),
        "raster_backward": arithmetic("raster_backward", row["evaluations"] * BACKWARD_FLOP),
        "splat_backward": bandwidth(
            "splat_backward",
            seen * (6 * PARAMETER_BYTES + RECORD_BYTES) + row["pairs"] * SUMS_BYTES,
        ),
    }


def print_stages(row: dict[str, float], share: dict[str, float]) -> None:
    """One table."""
    lanes = row["evaluations"] / max(1, row["lanes"])
    print(
        f"\n{row['width']}x{row['height']}, {row['splats']:,} splats "
        f"({row['visible']:,} visible, {row['pairs']:,} tile entries, "
        f"{row['evaluations'] / row['width'] / row['height']:.1f} evaluations a pixel, "
        f"{lanes:.0%} of lanes)"
    )
    names = ("project", "sort", "bin", "raster_forward", "loss", "raster_backward")
    for name in (*names, "splat_backward", "step", "render"):
        note = f"{share[name]:6.0%} of the ceiling" if name in share else ""
        if name.startswith("raster"):
            note += f", {1e6 * row[name] / row['evaluations']:.2f} ns an evaluation"
        if name == "render":
            note = f"{1e3 / row[name]:.0f} frames a second"
        print(f"  {name:16s} {row[name]:8.2f} ms  {note}")


def sweep(isa: str, seconds: float) -> list[dict[str, float]]:
    """Rasterisation against evaluations, over numbers, sizes and resolutions."""
    cases = [(270, 480, n, 250.0) for n in (3_200, 6_400, 12_800, 25_600)]
    cases += [(270, 480, 12_800, p) for p in (4.0, 16.0, 64.0, 500.0)]
    cases += [(135, 240, 12_800, 60.0), (540, 960, 12_800, 1000.0), (1080, 1920, 12_800, 4000.0)]
    print("\nrasterisation, forward and backward, against evaluations that count")
    print(
        "  size        splats   px a splat  evaluations  tile px touched     ms  ns an evaluation"
    )
    rows = []
    for width, height, count, pixels in cases:
        row = measure(width, height, count, pixels, isa, seconds)
        ms = row["raster_forward"] + row["raster_backward"]
        rows.append(row | {"pixels_per_splat": pixels, "raster": ms})
        print(
            f"  {width:4d}x{height:<4d} {count:9,d} {pixels:11.0f} {row['evaluations']:12,.0f} "
            f"{row['pairs'] * 256:16,.0f} {ms:7.2f} {1e6 * ms / row['evaluations']:10.2f}"
        )
    return rows


def scaling(isa: str, seconds: float) -> list[dict[str, float]]:
    """A step of each size with 1, 2, 4 ... threads."""
    available = native_cpu.thread_count()
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n < available] + [available]
    rows = []
    print("\nstep against threads, ms (speed-up)")
    for width, height, count in SIZES:
        times = []
        for threads in counts:
            native_cpu.set_thread_count(threads)
            row = measure(width, height, count, 25 * width * height / count, isa, seconds)
            times.append(row["step"])
            rows.append(row | {"threads": threads})
        parts = [
            f"{n}: {ms:.1f} ({times[0] / ms:.2f}x)" for n, ms in zip(counts, times, strict=True)
        ]
        print(f"  {width}x{height}, {count:,} splats:  " + "   ".join(parts))
    native_cpu.set_thread_count(available)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the native CPU kernels.")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--isa", default="", help="instruction set; default: the best")
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring, for each size")
    parser.add_argument("--large", action="store_true", help="also 1 M splats at 1080x1920")
    parser.add_argument("--sweep", action="store_true", help="cost against evaluations")
    parser.add_argument("--scaling", action="store_true", help="a step with 1, 2, 4 ... threads")
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()

    native_cpu.set_thread_count(args.threads)
    engine = native_cpu.Engine(args.isa)
    gflops, gbs = engine.ceilings()
    print(
        f"{engine.isa}, {native_cpu.thread_count()} threads: "
        f"{gflops:.0f} GFLOP/s multiply-add, {gbs:.1f} GB/s triad"
    )
    results = []
    for width, height, count in SIZES + (LARGE if args.large else ()):
        row = measure(width, height, count, 25 * width * height / count, args.isa, args.seconds)
        share = shares(row, gflops, gbs)
        print_stages(row, share)
        results.append(row | {"shares": share})
        sys.stdout.flush()
    swept = sweep(args.isa, args.seconds / 2) if args.sweep else []
    scaled = scaling(args.isa, args.seconds / 2) if args.scaling else []
    if args.json:
        data = {
            "isa": engine.isa,
            "threads": native_cpu.thread_count(),
            "fma_gflops": gflops,
            "triad_gbs": gbs,
            "sizes": results,
            "sweep": swept,
            "scaling": scaled,
        }
        args.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
