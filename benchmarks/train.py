"""Train methods on scenes with the product itself and write what came out.

    python benchmarks/train.py SCENE[=fit options] ... [--presets draft,standard]
        [--methods splat,nerf,nerfacto,opensplat] [--out DIR] [--record] [--note TEXT]

Each (scene, preset, method) is one run in a process of its own, into a fresh folder. Leaves in DIR
a JSON file for each (see `record.py`) and a drawing of PSNR against training time for each scene;
`--record` also puts the JSON files into benchmarks/results, from which `tables.py` makes the tables
of the README. Fit options after `=` are passed on: `"scenes/studio=--resolution 640"`.

`nerfacto` and `opensplat` are other people's programs, taken where they are installed (see
`peers/`); they get the same photos, cameras and split, and are measured by our own metrics.

`--read RUN` takes the figures of a finished run directory instead of running anything; what such a
directory does not tell (commit, machine, memory) must then be given or stays unknown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import peers
import record
import runs
from plot import time_against_psnr
from record import Result

RESULTS = Path(__file__).with_name("results")


def main(words: list[str] | None = None) -> None:
    args = _parser().parse_args(words)
    methods = args.methods.split(",")
    for name in set(methods) - {"splat", "nerf"}:
        peers.find(name)  # says at once what is missing, not after hours
    args.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for raw in _results(args, methods):
        extra = {"note": args.note, "description": args.description}
        result = replace(raw, **{key: value for key, value in extra.items() if value})
        results.append(result)
        record.save(result, args.out)
        if args.record:
            record.save(record.with_known_description(result, RESULTS), RESULTS)
        print(_line(result), flush=True)
        same = [r for r in results if r.scene == result.scene]
        (args.out / f"{result.scene}.svg").write_text(time_against_psnr(same), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train methods on scenes, record the outcome.")
    parser.add_argument("scenes", nargs="*", help="folder, or folder=options of recon fit")
    parser.add_argument("--presets", default="draft", help="comma-separated")
    parser.add_argument("--methods", default="splat", help="comma-separated")
    parser.add_argument("--steps", type=int, help="of foreign methods (default: their own)")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark"))
    parser.add_argument("--record", action="store_true", help="keep in benchmarks/results")
    parser.add_argument("--note", default="", help="such as: the machine was not idle")
    parser.add_argument("--description", default="", help="of the capture, for tables")
    parser.add_argument("--read", type=Path, action="append", default=[], metavar="RUN")
    parser.add_argument("--scene-name", default="", help="of the runs that are read")
    return parser


def _results(args: argparse.Namespace, methods: list[str]) -> Iterator[Result]:
    for folder in args.read:
        yield from runs.read_run(folder, args.scene_name)
    for item in args.scenes:
        folder, _, options = item.partition("=")
        scene = Path(folder).resolve()
        for preset in args.presets.split(","):
            for method in methods:
                out = args.out / f"{scene.name}-{preset}-{method}"
                if method in ("splat", "nerf"):
                    yield from runs.fit(scene, preset, method, options, out)
                else:
                    yield peers.train(method, scene, preset, options, out, args.steps)


def _line(result: Result) -> str:
    peak = "" if result.peak_mb is None else f"  {result.peak_mb:5.0f} MB"
    return (
        f"{result.scene:12s} {result.preset:9s} {result.method:9s} "
        f"{result.width}x{result.height} {result.psnr:6.2f} dB  SSIM {result.ssim:.3f}  "
        f"{result.size:9,d} {result.size_unit}  train {result.train_seconds:7.1f} s  "
        f"all {sum(result.stages.values()):7.1f} s{peak}"
    )


if __name__ == "__main__":
    main()
