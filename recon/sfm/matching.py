"""Matches between photos, verified. Runs only in the worker process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from recon.sfm.job import Job
from recon.sfm.retrieval import similar_pairs
from recon.sfm.stopping import Report, check

_PAIRS_PER_CALL = 64


def match(job: Job, token: pycolmap.CancellationToken, report: Report) -> None:
    """Match and verify the job's pairs; pairs that the database has are not done again."""
    done = _matched_pairs(job)
    files = [image.file for image in job.images]
    todo = [
        (files[i], files[j]) for i, j in job.pairs if frozenset((files[i], files[j])) not in done
    ]
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job.threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job.seed
    listing = Path(job.scratch) / "pairs.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    before = len(job.pairs) - len(todo)
    for start in range(0, len(todo), _PAIRS_PER_CALL):
        chunk = todo[start : start + _PAIRS_PER_CALL]
        listing.write_text("".join(f"{a} {b}\n" for a, b in chunk), encoding="utf-8")
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listing
        pycolmap.match_image_pairs(
            database_path=job.database,
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
            cancellation_token=token,
        )
        check(token)
        report("matching", before + start + len(chunk), len(job.pairs), "matching pairs")


def with_neighbours(job: Job) -> Job:
    """The job with the pairs that its `neighbours` asks for, by the features in the database."""
    if job.neighbours == 0:
        return job
    with pycolmap.Database.open(job.database) as database:
        ids = {image.name: image.image_id for image in database.read_all_images()}

        def descriptors(index: int) -> np.ndarray:
            image_id = ids.get(job.images[index].file)
            if image_id is None:
                return np.zeros((0, 128), np.uint8)
            return np.asarray(database.read_descriptors(image_id).data)

        found = similar_pairs(descriptors, len(job.images), job.neighbours, job.seed)
    return replace(job, pairs=tuple(sorted({*job.pairs, *found})))


def _matched_pairs(job: Job) -> set[frozenset[str]]:
    with pycolmap.Database.open(job.database) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        pair_ids, _ = database.read_two_view_geometry_num_inliers()
        pairs = (pycolmap.pair_id_to_image_pair(pair_id) for pair_id in pair_ids)
        return {frozenset((names[a], names[b])) for a, b in pairs if a in names and b in names}
