"""The methods that a fit trains, each with its resolved options and backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recon.fit.estimate import Cost, Workload
from recon.fit.options import FitOptions, MethodName
from recon.fit.parts import FitParts, TrainableMethod


@dataclass(frozen=True)
class Job:
    """One method of a fit.

    Attributes:
        name: of the method.
        method: what the fit knows of it.
        plan: its own options, fully resolved: a frozen dataclass.
        backend: who does the arithmetic.
    """

    name: MethodName
    method: TrainableMethod
    plan: Any
    backend: str

    def identity(self) -> dict[str, Any]:
        """The part of the plan that decides what the model becomes."""
        return self.method.identity(self.plan)

    def cost(self, work: Workload) -> Cost:
        """What training will take, roughly."""
        return self.method.cost(self.plan, work)


def plan_jobs(options: FitOptions, parts: FitParts) -> tuple[Job, ...]:
    """What `options` ask for, in the order of training.

    Raises:
        BackendUnavailable: a method or the wanted device is not to be had here.
        OptionError: a method cannot do what it is asked for.
    """
    jobs = []
    for name in options.methods:
        method = parts.method(name)
        backend = parts.choose_backend(options.device, name)
        jobs.append(Job(name, method, method.plan(options, backend), backend))
    return tuple(jobs)
