"""Cameras for photos: structure from motion, given poses, undistortion, normalisation."""

from recon.sfm.locate import KnownDistance
from recon.sfm.normalise import normalise
from recon.sfm.options import (
    Quality,
    SfmCancelled,
    SfmOptions,
    SfmProgress,
    SfmReport,
    StageTime,
)
from recon.sfm.pose import load_report, pose_capture
from recon.sfm.store import load_scene, save_scene
from recon.sfm.survey import Survey, load_survey, survey_capture

__all__ = [
    "KnownDistance",
    "Quality",
    "SfmCancelled",
    "SfmOptions",
    "SfmProgress",
    "SfmReport",
    "StageTime",
    "Survey",
    "load_report",
    "load_scene",
    "load_survey",
    "normalise",
    "pose_capture",
    "save_scene",
    "survey_capture",
]
