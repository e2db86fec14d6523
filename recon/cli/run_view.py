"""`recon view`."""

from __future__ import annotations

from recon.cli.commands import View


def run(command: View) -> int:
    """Serves until Ctrl-C; returns the exit code."""
    from recon.viewer import serve_run

    serve_run(
        command.path,
        host=command.host,
        port=command.port,
        open_browser=command.open,
        readonly=command.readonly,
    )
    return 0
