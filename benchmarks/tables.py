"""Make the tables of results in README.md from benchmarks/results/*.json.

    python benchmarks/tables.py            write them
    python benchmarks/tables.py --check    exit 1, saying where, if README.md differs

A test runs the check, so a figure in the README always comes from a run that was recorded.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from record import Result, load_all

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- results: made by benchmarks/tables.py from benchmarks/results -->"
END = "<!-- end of results -->"
_PRESETS = {"draft": 0, "standard": 1, "high": 2}
_HEAD = "| capture | method | preset | PSNR | SSIM | size | cameras | training | memory |"


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table, with the conditions under which they were measured."""

    def order(r: Result) -> tuple[str, int, str]:
        return (r.scene, _PRESETS.get(r.preset, 9), r.method)

    rows = [_row(result) for result in sorted(results, key=order)]
    return "\n".join([_HEAD, "| --- " * 9 + "|", *rows, "", _conditions(results)])


def _row(r: Result) -> str:
    capture = r.description or f"{r.scene}, {r.photos} photos, {r.width}x{r.height}"
    cells = (
        capture,
        r.method,
        r.preset,
        f"{r.psnr:.1f} dB",
        f"{r.ssim:.3f}",
        f"{_size(r.size)} {r.size_unit}",
        _time(r.stages.get("sfm")),
        _time(r.train_seconds),
        "" if r.peak_mb is None else f"{r.peak_mb / 1000:.1f} GB",
    )
    return f"| {' | '.join(cells)} |"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{round(count, -2):,}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02d} min"


def _conditions(results: Sequence[Result]) -> str:
    """Machines, commits and notes, each once."""
    machines = {
        f"{r.machine['processor']}, {r.machine['cores']} cores" for r in results if r.machine
    }
    commits = sorted({r.commit[:10] for r in results if r.commit})
    notes = sorted({r.note for r in results if r.note})
    parts = [
        f"Measured on {'; '.join(sorted(machines))}." if machines else "",
        f"Commits: {', '.join(commits)}." if commits else "",
        *(f"{note.rstrip('.')}." for note in notes),
    ]
    return " ".join(part for part in parts if part)


def with_table(text: str, content: str) -> str:
    """The README with its table replaced; SystemExit where the marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md has no marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Tables of results for the README.")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(words)
    readme = root / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = with_table(old, table(load_all(root / "benchmarks" / "results")))
    if not args.check:
        readme.write_text(new, encoding="utf-8")
        return 0
    if old == new:
        return 0
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "README.md", "from results", "", "", 1, ""
    )
    print("\n".join(lines), "\nREADME.md differs: run python benchmarks/tables.py", sep="\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
