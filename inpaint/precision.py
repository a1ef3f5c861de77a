"""Accelerate, set up for one fit."""

from __future__ import annotations

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

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
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
