"""Entry point of `recon`: parse, dispatch, and turn errors into messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import tyro

from recon import __version__
from recon.cli.commands import Check, Command, Doctor, Eval, Export, Fit, Render, View
from recon.errors import ReconError

_RUNNERS: dict[type, str] = {
    Fit: "recon.cli.run_fit",
    Check: "recon.cli.run_check",
    View: "recon.cli.run_view",
    Eval: "recon.cli.run_eval",
    Render: "recon.cli.run_render",
    Export: "recon.cli.run_export",
    Doctor: "recon.cli.run_doctor",
}

DESCRIPTION = "Photos to an explorable, evaluated 3D scene, on any machine."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code. Prints no traceback for people's mistakes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"recon {__version__}")
        return 0
    command = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType] (a union is what tyro wants)
        prog="recon",
        description=DESCRIPTION,
        args=words or ["--help"],
    )
    try:
        return import_module(_RUNNERS[type(command)]).run(command)
    except ReconError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except MemoryError as error:
        return _out_of_memory(error)
    except Exception as error:
        from recon.cli.crash import report_crash

        return report_crash(error, words)


def _out_of_memory(error: MemoryError) -> int:
    print(
        f"error: not enough memory ({error})\n"
        "  What to do: lower --resolution or --max-splats; the same command then goes on",
        file=sys.stderr,
    )
    return 1
