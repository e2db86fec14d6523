"""Entry point of `recon`: parse, dispatch, and turn errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import tyro

from recon import __version__
from recon.cli.commands import Check, Command, Doctor, Eval, Export, Fit, Render, View
from recon.cli.trouble import explain

_RUNNERS: dict[type, str] = {
    Fit: "recon.cli.run_fit",
    Check: "recon.cli.run_check",
    View: "recon.cli.run_view",
    Eval: "recon.cli.run_eval",
    Render: "recon.cli.run_render",
    Export: "recon.cli.run_export",
    Doctor: "recon.cli.run_doctor",
}

_NO_READER = 141
"""What a shell shows for a program that was ended by SIGPIPE."""

DESCRIPTION = "Photos to an explorable, evaluated 3D scene, on any machine."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code. Prints no traceback for people's mistakes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _run(words)
        finally:
            # Here, not at exit, where nobody could answer to a closed pipe.
            sys.stdout.flush()
    except BrokenPipeError:
        return _end_without_readers()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # rich's way of handing it on
            return _end_without_readers()
        raise


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        print(f"recon {__version__}")
        return 0
    command = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType] (a union is what tyro wants)
        prog="recon",
        description=DESCRIPTION,
        args=words or ["--help"],
    )
    # What Pillow finds odd in a file that it reads all the same is nothing that a person can mend.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        return import_module(_RUNNERS[type(command)]).run(command)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise  # whoever reads our output has seen enough: see `main`
    except Exception as error:
        trouble = explain(error, words)
        print(f"error: {trouble.text}", file=sys.stderr)
        return trouble.exit_code


def _end_without_readers() -> int:
    """What `recon check | head -1` leaves; returns the exit code of programs that SIGPIPE ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # What is still in the buffer would be tried again, and complained about, at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return _NO_READER
