"""What values the options of several configurations may have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field


def _whole_above_one(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("above 1 only a whole number of GPUs can be had")
    return gpus


Gpus = Annotated[float, Field(ge=0, le=16), AfterValidator(_whole_above_one)]
Cpus = Annotated[int, Field(ge=1, le=256)]
MemoryGb = Annotated[float, Field(ge=0)]
RunnerKind = Literal["ray", "serial"]

Capacity = Literal["auto", "small", "base", "large"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
ValidationShare = Annotated[float, Field(ge=0, le=0.2)]

Steps = Annotated[int, Field(ge=1, le=100_000_000)]
Batch = Annotated[int, Field(ge=1, le=4096)]
LearningRate = Annotated[float, Field(gt=0, lt=1)]
WeightDecay = Annotated[float, Field(ge=0, le=10)]
CooldownShare = Annotated[float, Field(gt=0, lt=1)]
ShiftedHoles = Annotated[int, Field(ge=1, le=32)]
HoleWeight = Annotated[float, Field(ge=0, le=1000)]
LossWeight = Annotated[float, Field(ge=0, le=100)]

Count = Annotated[int, Field(ge=0)]
Every = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
