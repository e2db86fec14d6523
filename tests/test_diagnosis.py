"""The rules of a diagnosis, on evidence made up for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.capture import Capture, Photo, SkippedPhoto
from recon.capture.look import PhotoLook
from recon.diagnosis import Diagnosis, diagnose, load_findings, save_diagnosis
from recon.diagnosis.graph import cut_photos
from recon.formats.lens import Lens, PosedLens
from recon.geometry import look_at
from recon.sfm.context import Evidence
from recon.sfm.job import Link, PhotoFacts
from recon.sfm.normalise import normalise
from recon.sfm.reasons import nothing_placed, why_lost
from recon.sfm.survey import Survey

NAMES = [f"{index:03d}.jpg" for index in range(24)]
SHARP = PhotoLook(blur=0.5, brightness=-2.0, dark=0.0, bright=0.0)
PLACED = PhotoFacts(keypoints=3000, partners=6, component=0, points=500, error=0.8)


@pytest.fixture
def capture() -> Capture:
    photos = tuple(Photo(name, Path(name), 1600, 1200, 1, None, "", False, name) for name in NAMES)
    return Capture(Path(), Path(), photos, (), dict.fromkeys(NAMES, "train"), "")


def orbit(degrees: float = 360.0, tilts: tuple[float, ...] = (0.5, 1.5)) -> dict[str, PosedLens]:
    lens = Lens(1600, 1200, 1500, 1500, 800, 600)
    cameras = {}
    for index, name in enumerate(NAMES):
        angle = np.radians(degrees * index / len(NAMES))
        eye = (3 * np.cos(angle), 3 * np.sin(angle), tilts[index % len(tilts)])
        cameras[name] = PosedLens(lens, look_at(np.array(eye), (0, 0, 0), (0, 0, 1)))
    return cameras


def links(names: list[str]) -> list[Link]:
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 : i + 4]]
    return [
        Link(a, b, 200, True) for a, b in [*pairs, (names[0], names[-1]), (names[1], names[-2])]
    ]


@pytest.fixture
def survey() -> Survey:
    """Of a capture that is as it should be."""
    cameras = orbit()
    evidence = Evidence(
        dict.fromkeys(NAMES, SHARP), dict.fromkeys(NAMES, PLACED), tuple(links(NAMES))
    )
    poses = np.stack([posed.cam_from_world for posed in cameras.values()])
    norm = normalise(poses)
    return Survey("sfm", cameras, norm, 5000, (24,), (), 0.8, 5.0, 0.0, evidence)


def found(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.code: finding.level for finding in diagnosis.findings}


def with_photos(survey: Survey, photos: dict[str, PhotoFacts], **changes) -> Survey:
    """Evidence with other photos; those out of the largest model lose their cameras."""
    evidence = replace(survey.evidence, photos={**survey.evidence.photos, **photos})
    cameras = {n: c for n, c in survey.cameras.items() if evidence.photos[n].component == 0}
    evidence = replace(evidence, links=changes.pop("links", evidence.links))
    return replace(survey, evidence=evidence, cameras=cameras, failed=why_lost(evidence), **changes)


def with_looks(survey: Survey, looks: dict[str, PhotoLook]) -> Survey:
    evidence = replace(survey.evidence, looks={**survey.evidence.looks, **looks})
    return replace(survey, evidence=evidence)


def test_a_good_capture_is_called_good(capture, survey):
    diagnosis = diagnose(capture, survey)
    assert diagnosis.findings == ()
    assert (diagnosis.verdict, diagnosis.placed, diagnosis.usable) == ("good", 24, 24)


def test_blurred_photos_are_named_and_a_soft_capture_is_a_fault(capture, survey):
    soft = replace(SHARP, blur=3.0)
    some = diagnose(capture, with_looks(survey, {NAMES[3]: soft, NAMES[9]: soft}))
    (finding,) = some.findings
    assert (finding.code, finding.photos) == ("blur", (NAMES[3], NAMES[9]))
    every = with_looks(survey, dict.fromkeys(NAMES, replace(SHARP, blur=5.0)))
    assert found(diagnose(capture, every)) == {"soft": "fault"}


def test_exposure_is_measured_in_stops(capture, survey):
    dark = replace(SHARP, brightness=-5.0)
    diagnosis = diagnose(capture, with_looks(survey, dict.fromkeys(NAMES[:4], dark)))
    assert found(diagnosis) == {"exposure": "warning"}
    assert "3.0 stops" in diagnosis.findings[0].what
    assert {p.name: p.stops for p in diagnosis.photos}[NAMES[0]] == -3.0


def test_lost_photos_come_with_the_likeliest_reason(capture, survey):
    lost = PhotoFacts(keypoints=2500, partners=0)
    dim = PhotoFacts(keypoints=40, partners=2)
    weak = PhotoFacts(keypoints=2500, partners=2)
    survey = with_looks(survey, {NAMES[2]: replace(SHARP, blur=6.0)})
    survey = with_photos(survey, {NAMES[2]: weak, NAMES[5]: lost, NAMES[8]: dim, NAMES[9]: weak})
    diagnosis = diagnose(capture, survey)
    why = {p.name: p.why for p in diagnosis.photos if p.status == "lost"}
    assert why[NAMES[2]].startswith("blurred")
    assert "does not overlap" in why[NAMES[5]]
    assert "detail" in why[NAMES[8]]
    assert "2 other photos" in why[NAMES[9]]
    assert found(diagnosis)["lost"] == "warning"


def test_parts_are_listed_with_the_photos_that_nearly_bridge_them(capture, survey):
    other = {name: replace(PLACED, component=1) for name in NAMES[16:]}
    bridge = Link(NAMES[4], NAMES[20], 17)
    inner = [*links(NAMES[:16]), *links(NAMES[16:])]
    apart = with_photos(survey, other, links=tuple(inner), components=(16, 8))
    (finding,) = [f for f in diagnose(capture, apart).findings if f.code == "parts"]
    assert finding.photos == tuple(NAMES[16:])
    assert "in a folder of their own" in finding.remedy
    assert "8 photos" in finding.what
    third = {name: replace(PLACED, component=2) for name in NAMES[20:]}
    several = with_photos(survey, other | third, links=tuple(inner), components=(16, 4, 4))
    (finding,) = [f for f in diagnose(capture, several).findings if f.code == "parts"]
    assert finding.photos == tuple(NAMES[16:])
    flipped = replace(apart, evidence=replace(apart.evidence, mirrored=tuple(NAMES[16:])))
    assert found(diagnose(capture, flipped))["mirrored"] == "warning"
    near = with_photos(survey, other, links=(*inner, bridge), components=(16, 8))
    (finding,) = [f for f in diagnose(capture, near).findings if f.code == "parts"]
    assert f"{NAMES[4]} and {NAMES[20]}" in finding.remedy


def test_contradictions_name_their_pairs(capture, survey):
    wrong = Link(NAMES[0], NAMES[12], 400, agrees=False)
    evidence = replace(survey.evidence, links=(*survey.evidence.links, wrong))
    diagnosis = diagnose(capture, replace(survey, evidence=evidence, inconsistent_pairs=0.05))
    (finding,) = diagnosis.findings
    assert (finding.code, finding.level) == ("contradictions", "warning")
    assert f"{NAMES[0]} with {NAMES[12]}" in finding.what


def test_an_impossible_lens_is_suspicious(capture, survey):
    cameras = {
        name: replace(posed, lens=replace(posed.lens, fx=9000.0, fy=9000.0))
        for name, posed in survey.cameras.items()
    }
    assert found(diagnose(capture, replace(survey, cameras=cameras)))["focal"] == "warning"


def test_coverage_gaps_and_single_heights(capture, survey):
    def at(cameras: dict[str, PosedLens]) -> dict[str, str]:
        poses = np.stack([posed.cam_from_world for posed in cameras.values()])
        return found(
            diagnose(capture, replace(survey, cameras=cameras, norm_from_world=normalise(poses)))
        )

    assert at(orbit(270.0)) == {"gap": "note"}
    assert at(orbit(tilts=(1.0,))) == {"one_height": "note"}
    level, far = orbit(120.0, (1.0,)), orbit(-240.0, (1.0,))
    assert "jumps" in at({**level, NAMES[-1]: far[NAMES[8]]})


def test_a_photo_that_holds_two_halves_together_is_found():
    chain = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "x"), ("x", "d"), ("d", "e"), ("e", "f")]
    names = sorted({name for pair in chain for name in pair})
    assert cut_photos(names, chain)[0] in {("x", 3), ("c", 3)}
    assert cut_photos(names, [*chain, ("a", "f"), ("b", "e")]) == []


def test_files_that_were_left_out_are_told(capture, survey):
    skipped = (
        SkippedPhoto("z.jpg", "shows the very same as a.jpg", copy=True),
        SkippedPhoto("broken.jpg", "cannot be decoded"),
    )
    diagnosis = diagnose(replace(capture, skipped=skipped), survey)
    assert found(diagnosis) == {"copies": "note", "unreadable": "note"}
    assert diagnosis.usable == 24
    assert len(diagnosis.photos) == 26


def test_photos_at_one_place_must_show_the_same(capture, survey):
    """A symmetric object, of which the second half of the photos came to lie upon the first."""
    rng = np.random.default_rng(0)
    sketches = rng.integers(0, 256, (24, 64), dtype=np.uint8)
    cameras = orbit(180.0) | dict(zip(NAMES[12:], list(orbit(180.0).values())[:12], strict=True))
    folded = replace(survey, cameras=cameras)

    def seen(rows: np.ndarray) -> dict[str, str]:
        looks = {
            n: replace(SHARP, sketch=r.tobytes().hex()) for n, r in zip(NAMES, rows, strict=True)
        }
        evidence = replace(folded.evidence, looks=looks)
        return found(diagnose(capture, replace(folded, evidence=evidence)))

    assert seen(sketches)["look_alikes"] == "fault"
    # The same things, though darker; and where only a few differ, something has moved.
    darker = np.concatenate([sketches[:12], sketches[:12] // 2])
    assert "look_alikes" not in seen(darker)
    darker[12:16] = sketches[12:16]
    assert "look_alikes" not in seen(darker)
    assert "look_alikes" not in found(diagnose(capture, folded))


def failure(capture: Capture, evidence: Evidence) -> Survey:
    """No photo could be placed."""
    error = nothing_placed(capture, evidence)
    why = (error.what, error.remedy)
    lost = why_lost(evidence)
    return Survey("sfm", {}, None, 0, (), lost, None, None, None, evidence, failure=why)


def test_without_any_camera_the_failure_is_the_first_finding(capture, survey):
    nothing = {name: PhotoFacts(keypoints=3000, partners=0) for name in NAMES}
    evidence = replace(survey.evidence, photos=nothing, links=())
    diagnosis = diagnose(capture, failure(capture, evidence))
    assert diagnosis.verdict == "bad"
    assert diagnosis.findings[0].code == "cameras_fail"
    assert "small steps" in diagnosis.findings[0].remedy


def test_photos_of_nothing_are_called_so_once(capture, survey):
    nothing = {name: PhotoFacts(keypoints=3, partners=0) for name in NAMES}
    evidence = replace(survey.evidence, photos=nothing, links=())
    diagnosis = diagnose(capture, failure(capture, evidence))
    assert [f.code for f in diagnosis.findings if "detail" in f.what] == ["cameras_fail"]
    assert "3 features; photos that are easily placed have a thousand" in diagnosis.photos[0].why


def test_a_diagnosis_is_json_and_its_findings_come_back(capture, survey, tmp_path):
    lost = PhotoFacts(keypoints=2500, partners=0)
    diagnosis = diagnose(capture, with_photos(survey, {NAMES[5]: lost}))
    save_diagnosis(diagnosis, tmp_path)
    assert load_findings(tmp_path) == diagnosis.findings
    data = json.loads((tmp_path / "diagnosis.json").read_text())
    assert data["verdict"] == "reservations"
    (tmp_path / "diagnosis.json").write_text('{"findings": [{"x": 1}]}')
    assert load_findings(tmp_path) == ()
