"""What a training is told: a file of `configs/` and `key=value` words become one `Training`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cluster.bounds import (
    Batch,
    Capacity,
    CooldownShare,
    Count,
    Cpus,
    Every,
    HoleWeight,
    LearningRate,
    Seed,
    Share,
    ShiftedHoles,
    Steps,
    ValidationShare,
)
from cluster.strict import Options, Size, Text, read_values, validated
from inpaint.learning import Optimizer, RateSchedule
from inpaint.precision import Precision
from inpaint.vinet.lesson import LessonConfig
from inpaint.warmstart import WarmstartConfig

_FIT, _VINET = WarmstartConfig(), LessonConfig()


class TrainFit(Options):
    """How the network learns; meanings: `inpaint.WarmstartConfig`."""

    steps: Steps = _FIT.steps
    batch: Batch = _FIT.batch
    optimizer: Optimizer = _FIT.optimizer
    learning_rate: LearningRate = _FIT.learning_rate
    schedule: RateSchedule = _FIT.schedule
    warmup_steps: Count = _FIT.warmup_steps
    cooldown_share: CooldownShare = _FIT.cooldown_share
    shifted_holes: ShiftedHoles = _FIT.shifted_holes
    hole_weight: HoleWeight = _FIT.hole_weight
    renew_every: Every = _FIT.renew_every
    report_every: Every = 20
    validate_every: Every = _FIT.validate_every


class VINetFit(Options):
    """How VINet learns; meanings: `inpaint.vinet.lesson.LessonConfig`."""

    steps: Steps = _VINET.steps
    batch: Batch = _VINET.batch
    optimizer: Optimizer = _VINET.optimizer
    learning_rate: LearningRate = _VINET.learning_rate
    schedule: RateSchedule = _VINET.schedule
    warmup_steps: Count = _VINET.warmup_steps
    cooldown_share: CooldownShare = _VINET.cooldown_share
    shares: list[Share] = Field([*_VINET.shares], min_length=3, max_length=3)
    window_px: int = Field(_VINET.window_px, ge=16, le=2048, multiple_of=8)
    pan_px: float = Field(_VINET.pan_px, ge=0, le=1000)
    frames: int = Field(_VINET.frames, ge=2, le=32)
    report_every: Every = 20
    validate_every: Every = _VINET.validate_every

    @field_validator("shares")
    @classmethod
    def _whole(cls, value: list[float]) -> list[float]:
        if abs(sum(value) - 1) > 1e-6:
            raise ValueError(f"expected three shares that add up to 1, not to {sum(value):g}")
        return value


class WorkerOptions(Options):
    """What one worker asks of a machine.

    Attributes:
        gpus: 1 or 0; null: 1 where the cluster has any.
        cpus: cores, and threads of the arithmetic.
    """

    gpus: Literal[0, 1] | None = None
    cpus: Cpus = 1


class Training(Options):
    """One training, of whatever network."""

    archive: Text = "runs/archive"
    shots: list[Text] | None = Field(None, min_length=1)
    out: Text | None = None
    capacity: Capacity = "auto"
    size: Size | None = None
    fit: TrainFit | VINetFit
    seed: Seed = 0
    precision: Precision = "auto"
    workers: int | None = Field(None, ge=1, le=1024)
    resources: WorkerOptions = WorkerOptions()
    checkpoint_every: Every = 500
    max_failures: Count = 8

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        every = self.fit.report_every
        for key, value in (
            ("checkpoint_every", self.checkpoint_every),
            ("fit.validate_every", self.fit.validate_every),
        ):
            if value % every:
                raise ValueError(
                    f"{key} = {value}: expected a multiple of fit.report_every, {every}"
                )
        return self


class TrainConfig(Training):
    """A warm start's training. Every key is explained in `configs/warmstart.yaml`."""

    fit: TrainFit = TrainFit()
    validation_share: ValidationShare = 0.05


class VINetTraining(Training):
    """VINet's training. Every key is explained in `configs/vinet.yaml`."""

    method: Literal["vinet"] = "vinet"
    held_out: list[Text] | None = Field(None, min_length=1)
    fit: VINetFit = VINetFit()


def load_training(path: str | None, words: Sequence[str] = ()) -> TrainConfig | VINetTraining:
    """Read a configuration file, then let `key=value` words such as `fit.steps=500` replace.

    Raises:
        ConfigError: every fault, one a line.
    """
    values = read_values(path, words, "fit.steps=500")
    if values.get("method") == "vinet":
        return validated(VINetTraining, values)
    return validated(TrainConfig, values)
