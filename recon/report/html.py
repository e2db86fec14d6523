"""HTML and SVG from Python values. Plain strings are escaped, always; only `Html` passes as is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Attribute = str | int | float | bool | None
_VOID = frozenset({"img", "input", "br", "meta", "hr"})


class Html(str):
    """Markup that is safe to put into a page: made by `el` and `join`, not by hand."""

    __slots__ = ()


Child = Html | str | None


def el(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """An element. `class_` and `data_x` become `class` and `data-x`; None and False leave out."""
    parts = [f"<{tag}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        parts.append(f" {name}" if value is True else f' {name}="{escape(str(value))}"')
    parts.append(">")
    if tag not in _VOID:
        parts += [join(children), f"</{tag}>"]
    return Html("".join(parts))


def join(children: Iterable[Child]) -> Html:
    """Children one after another, escaped unless they are `Html`; None is nothing."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children if c is not None))
