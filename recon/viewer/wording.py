"""Words from elsewhere (errors, names of files) on a page."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$])")


def as_markdown(text: str) -> str:
    """Text that is shown as it stands: each line by itself, and nothing in it is markup."""
    lines = [_SPECIAL.sub(r"\\\1", line.strip()) for line in text.splitlines()]
    return "\n\n".join(line for line in lines if line)
