"""Time the training of a hash-grid field, and set each stage against the machine's ceilings.

    python benchmarks/field.py [--threads 2] [--log2-table 19] [--batch 65536] [--json out.json]

A step is a real one, on random rays through a field of noise in which every sample counts: all
that is marched has a colour and gradients. Times are CPU time of the threads, so that other load
on the machine blurs them little; samples a second are what all threads reach together when each has
a core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from recon.kernels import native_cpu
from recon.kernels.field_engine import NativeFieldEngine
from recon.kernels.field_ops import (
    COLOR_OUT,
    FEATURES,
    GEOMETRY,
    HIDDEN,
    LEVELS,
    RECORD,
    SPHERE,
    FieldShape,
    March,
    StepSettings,
)
from recon.kernels.field_tensors import FieldState, TrainImage
from recon.kernels.native_field import FieldEngine
from recon.kernels.ops import PinholeView
from recon.nerf.state import initial_state

_DENSITY = LEVELS * FEATURES * HIDDEN + HIDDEN * GEOMETRY
_COLOR = GEOMETRY * HIDDEN + HIDDEN * HIDDEN + HIDDEN * COLOR_OUT
# The harmonics' part of the colour network is worked out once a ray and not counted.
MLP_FLOP = {"density": 2 * _DENSITY, "color": 2 * _COLOR, "backward": 4 * (_DENSITY + _COLOR)}
# Bytes of memory a touched entry moves in Adam: its record read and written, its rounded copy
# written (whole lines would be more).
ADAM_BYTES = 2 * 4 * RECORD + 2 * FEATURES
CORNERS = 8


# All samples count.
MARCH = March(near=2.0, far=6.0, shortest=0.02, min_weight=0.0, min_transmittance=0.0)


def make_field(engine: NativeFieldEngine) -> FieldState:
    """A field that is translucent throughout, seen by cameras on a ring."""
    g = torch.Generator().manual_seed(0)
    images = []
    for angle in torch.arange(16) * (2 * torch.pi / 16):
        c, s = float(angle.cos()), float(angle.sin())
        rotation = (-s, c, 0.0, 0.0, 0.0, -1.0, -c, -s, 0.0)
        rgba = torch.randint(0, 256, (400, 400, 4), generator=g, dtype=torch.uint8)
        rgba[..., 3] = 255
        view = PinholeView(400, 400, 500.0, 500.0, 200.0, 200.0, rotation, (0.0, 0.0, 4.0))
        images.append(TrainImage(view, rgba))
    engine.set_images(tuple(images))
    state = initial_state(engine.shape, 0, torch.zeros(engine.shape.grid**3), None)
    state = state.to(engine.device)
    engine.use_grid(state.weights)
    return state


def idle_step(step: int, rays: int) -> StepSettings:
    """A step with learning rates of nearly nothing: the field stays as it is."""
    return StepSettings(0, step, rays, table_rate=1e-12, mlp_rate=1e-12, mlp_decay=0.0)


def next_rays(rays: int, batch: int, live: int) -> int:
    """Rays that give a batch, when so many gave `live` samples."""
    return max(16, round(rays * batch / max(1, live)))


def measure(engine: FieldEngine, state: FieldState, batch: int, seconds: float) -> dict[str, float]:
    """Thread nanoseconds a sample of each stage, and what a step is made of."""
    rays, step = 512, 0
    totals: dict[str, float] = {}
    marched = live = wall = touched = 0.0
    end = time.perf_counter() + seconds
    while step < 8 or time.perf_counter() < end:
        step += 1
        before = state.records[:, 3 * FEATURES].clone() if step == 6 else None
        start = time.perf_counter()
        result = engine.train_step(state, MARCH, idle_step(step, rays))
        took = time.perf_counter() - start
        stages = engine.timings()
        if before is not None:
            touched = float((state.records[:, 3 * FEATURES] != before).sum())
        rays = next_rays(rays, batch, result.live)
        if step > 5:
            wall += took
            marched += result.marched
            live += result.live
            for name, value in stages.items():
                totals[name] = totals.get(name, 0.0) + value
    out = {f"{name}_ns": 1e9 * value / live for name, value in totals.items()}
    steps = step - 5
    cpu = sum(totals.values())
    return out | {
        "cpu_ns": 1e9 * cpu / live,
        "samples_per_second": live / (cpu / native_cpu.thread_count()),
        "samples_per_second_wall": live / wall,
        "samples_per_step": live / steps,
        "marched_per_live": marched / live,
        "touched_entries": touched,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the training of a hash-grid field.")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--isa", default="", help="instruction set; default: the best")
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring")
    parser.add_argument("--log2-table", type=int, default=19)
    parser.add_argument("--batch", type=int, default=1 << 16)
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()

    native_cpu.set_thread_count(args.threads)
    gflops, gbs = native_cpu.Engine(args.isa).ceilings()
    threads = native_cpu.thread_count()
    shape = FieldShape(log2_table=args.log2_table, contracted=False, density_bias=-1.0)
    engine = FieldEngine(shape, args.isa)
    state = make_field(engine)
    print(
        f"{engine.isa}, {threads} threads: {gflops:.0f} GFLOP/s multiply-add, {gbs:.1f} GB/s triad"
    )
    row = measure(engine, state, args.batch, args.seconds)
    print(
        f"{row['samples_per_step']:,.0f} samples a step, table of 2^{args.log2_table}: "
        f"{row['samples_per_second'] / 1e6:.2f} M samples/s by CPU time, "
        f"{row['samples_per_second_wall'] / 1e6:.2f} by the clock"
    )
    shares = {
        name: flop / row[f"{name}_ns"] / (gflops / threads) for name, flop in MLP_FLOP.items()
    }
    per_sample = row["touched_entries"] / row["samples_per_step"]
    shares["adam"] = per_sample * ADAM_BYTES / row["adam_ns"] / (gbs / threads)
    for name in (
        "march",
        "encode",
        "density",
        "color",
        "composite",
        "backward",
        "scatter",
        "adam",
    ):
        ns = row[f"{name}_ns"]
        note = f"{shares[name]:6.0%} of the ceiling" if name in shares else ""
        if name in ("encode", "scatter"):
            note = f"       {ns / (LEVELS * CORNERS):.2f} ns a corner"
        print(f"  {name:10s} {ns:7.0f} ns a sample  {note}")
    print(f"  {'all':10s} {row['cpu_ns']:7.0f} ns")
    if args.json:
        data = {
            "isa": engine.isa,
            "threads": threads,
            "fma_gflops": gflops,
            "triad_gbs": gbs,
            "batch": args.batch,
            "log2_table": args.log2_table,
            "sphere": SPHERE,
            "stages": row,
            "shares": shares,
        }
        args.json.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
