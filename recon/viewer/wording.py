"""Words from elsewhere (errors, names of files) on a page."""

from __future__ import annotations

from html import escape

# Like viser's own texts, but a long path breaks where it must.
_BOX = "padding:0 0.75rem 0.6rem;font-size:0.875rem;line-height:1.5;overflow-wrap:anywhere"


def as_html(text: str, *, state: str = "") -> str:
    """Text that is shown as it stands: a paragraph a line, and nothing in it is markup. A word for
    the `state` of things may stand before it."""
    lines = [escape(line.strip()) for line in text.splitlines() if line.strip()]
    if state:
        lines[:1] = [f"<b>{escape(state)}</b> {''.join(lines[:1])}".rstrip()]
    return f'<div style="{_BOX}">{"".join(f"<p>{line}</p>" for line in lines)}</div>'
