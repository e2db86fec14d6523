"""Points where triangulation gives too few: inside the visual hull, or in the common view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.formats.lens import WorldPoints
from recon.sfm.context import SfmContext, Solution


def fill_points(context: SfmContext, solution: Solution) -> Solution:
    raise NotImplementedError
