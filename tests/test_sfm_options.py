"""Options of SfM."""

from __future__ import annotations

import pytest

from recon.errors import OptionError
from recon.sfm import SfmOptions


@pytest.mark.parametrize(
    "bad", [{"pose_source": "x"}, {"quality": "x"}, {"long_side": 1}, {"threads": 0}]
)
def test_senseless_options_are_refused(bad):
    with pytest.raises(OptionError):
        SfmOptions(**bad)


def test_threads_default_to_the_usable_cores():
    assert SfmOptions().thread_count >= 1
    assert SfmOptions(threads=3).thread_count == 3
