"""What is right and wrong with a capture, and what to do about it, in plain words."""

from recon.diagnosis.diagnose import DIAGNOSIS_FILE, diagnose, load_findings, save_diagnosis
from recon.diagnosis.types import Diagnosis, Finding, PhotoHealth

__all__ = [
    "DIAGNOSIS_FILE",
    "Diagnosis",
    "Finding",
    "PhotoHealth",
    "diagnose",
    "load_findings",
    "save_diagnosis",
]
