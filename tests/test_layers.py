"""Imports go down only, as docs/architecture.md lays the layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import recon

PACKAGE = Path(recon.__file__).parent

# Top to bottom. A part may import the parts of lower layers, and of its own layer only those
# named in BESIDE.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"cli", "viewer"}),
    frozenset({"fit", "report", "export"}),
    frozenset({"evaluate", "metrics"}),
    frozenset({"splat", "nerf"}),
    frozenset({"training", "dense"}),
    frozenset({"model", "kernels"}),
    frozenset({"diagnosis"}),
    frozenset({"sfm", "scene", "capture", "formats"}),
    frozenset({"geometry", "errors", "container"}),
)
BESIDE = {
    ("cli", "viewer"),
    ("fit", "report"),
    ("export", "fit"),
    ("evaluate", "metrics"),
    ("sfm", "capture"),
    ("sfm", "formats"),
    ("sfm", "scene"),
    ("capture", "formats"),
    ("capture", "scene"),
    ("geometry", "errors"),
}
# Outside of the layers: the version that everybody may read, the entry, and the set-up script.
FREE = frozenset({"__init__", "__main__", "bootstrap"})


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported_parts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and part of every import of recon in a file, late and type-only ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            modules = [node.module or ""]
            if node.module == "recon":
                modules = [f"recon.{alias.name}" for alias in node.names]
        for module in modules:
            head, _, rest = module.partition(".")
            if head == "recon" and rest and not rest.startswith("__"):
                yield node.lineno, rest.split(".")[0]


def allowed(importer: str, imported: str) -> bool:
    rank = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}
    if importer == imported or rank[importer] < rank[imported]:
        return True
    return (importer, imported) in BESIDE


def test_every_part_has_its_layer() -> None:
    known = frozenset().union(*LAYERS) | FREE
    found = {part_of(p) for p in PACKAGE.rglob("*.py")}
    assert found <= known, f"name the layer of {sorted(found - known)} here and in the docs"


def test_imports_go_down_only() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {part_of(path)} imports {imported}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if part_of(path) not in FREE
        for line, imported in imported_parts(path)
        if not allowed(part_of(path), imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_set_up_script_needs_the_standard_library_only() -> None:
    import sys

    for node in ast.walk(ast.parse((PACKAGE / "bootstrap.py").read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names, name
