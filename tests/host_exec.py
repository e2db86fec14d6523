"""The CUDA backend with kernels that run on the CPU, under the executor of cuda_ext/host_exec."""

from __future__ import annotations

import pytest
import torch

host_cuda = pytest.importorskip(
    "recon.kernels._host_cuda", reason="not built: configure with -DRECON_HOST_EXEC=ON"
)
from recon.kernels import native_cuda  # noqa: E402

CPU = torch.device("cpu")
# Room for few pairs: launches are sized for the room, which costs here even where it is not used.
PAIRS = 1 << 14
# Orders of threads and blocks: see set_order in host_exec/executor.h.
ORDERS = {"forward": 0, "reverse": 1, "shuffled": 20}


class HostExecBackend(native_cuda.NativeCudaBackend):
    """See above; `pairs` is the room for (tile, splat) pairs that engines start with."""

    def __init__(self, pairs: int = PAIRS) -> None:
        super().__init__(host_cuda, CPU)
        self.pairs = pairs

    def engine(self) -> native_cuda.Engine:
        return native_cuda.Engine(host_cuda, CPU, self.pairs)
