"""Accelerate, set up for one fit, and a convolution whose gradients it can trust."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn

Precision = Literal["auto", "off", "bf16", "fp16"]


def accelerator(precision: Precision, device: torch.device) -> Accelerator:
    """Return an Accelerator for this device and precision, whatever the process used before.

    Raises:
        ValueError: fp16 without a GPU: its small range needs loss scaling, which CPUs lack.
    """
    chosen = resolve(precision, device)
    # Accelerate keeps one state per process and hands the first one out for ever.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    mixed = "no" if chosen == "off" else chosen
    with _unlaunched():
        return Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")


def resolve(precision: Precision, device: torch.device) -> Precision:
    """Replace `auto`: bf16 where the machine multiplies in it, else fp16 on a GPU, off on a CPU."""
    if precision == "fp16" and device.type != "cuda":
        raise ValueError("precision fp16 needs a GPU; use bf16 or off")
    if precision != "auto":
        return precision
    if device.type != "cuda":
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "off"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


_LAUNCHED = (
    *("WORLD_SIZE", "LOCAL_RANK"),
    *("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"),
)


@contextmanager
def _unlaunched() -> Iterator[None]:
    """Hide from Accelerate that the process comes from a launcher, such as srun or mpirun.

    A fit would wait for others there, or refuse to go alone. Those that do train together have
    been joined before.
    """
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    names = [] if together else [name for name in _LAUNCHED if name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


class Conv2d(nn.Conv2d):
    """A convolution that stays out of bf16 where PyTorch's gradient is wrong there.

    On CPUs, 2.13's gradient of the weights writes beside its memory where dilation is above 1 and
    the inputs' channels are more than 16 and no multiple of 16 (see docs/decisions.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self._misled(x):
            return super().forward(x)
        reduced = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(reduced)

    def _misled(self, x: Tensor) -> bool:
        odd = max(self.dilation) > 1 and self.in_channels > 16 and self.in_channels % 16 != 0
        return odd and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
