"""What the numbers of a configuration may be, for a fit of whatever kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Steps = Annotated[int, Field(ge=1, le=100_000_000)]
Batch = Annotated[int, Field(ge=1, le=4096)]
LearningRate = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
Every = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
CooldownShare = Annotated[float, Field(gt=0, lt=1)]
ShiftedHoles = Annotated[int, Field(ge=1, le=32)]
HoleWeight = Annotated[float, Field(ge=0, le=1000)]
LossWeight = Annotated[float, Field(ge=0, le=100)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
