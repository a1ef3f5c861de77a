"""What a training is told: a file of `configs/` and `key=value` words become one `Training`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cluster.config import Cpus
from cluster.strict import Options, Size, Text, read_values, validated
from inpaint.vinet.lesson import LessonConfig
from inpaint.warmstart import WarmstartConfig

Share = Annotated[float, Field(ge=0, le=1)]
_FIT, _VINET = WarmstartConfig(), LessonConfig()


class TrainFit(Options):
    """How the network learns; meanings: `inpaint.WarmstartConfig`."""

    steps: int = Field(_FIT.steps, ge=1, le=100_000_000)
    batch: int = Field(_FIT.batch, ge=1, le=4096)
    optimizer: Literal["adam", "muon"] = _FIT.optimizer
    learning_rate: float = Field(_FIT.learning_rate, gt=0, lt=1)
    schedule: Literal["constant", "cosine", "trapezoid"] = _FIT.schedule
    warmup_steps: int = Field(_FIT.warmup_steps, ge=0)
    cooldown_share: float = Field(_FIT.cooldown_share, gt=0, lt=1)
    shifted_holes: int = Field(_FIT.shifted_holes, ge=1, le=32)
    hole_weight: float = Field(_FIT.hole_weight, ge=0, le=1000)
    renew_every: int = Field(_FIT.renew_every, ge=1)
    report_every: int = Field(20, ge=1)
    validate_every: int = Field(_FIT.validate_every, ge=1)


class VINetFit(Options):
    """How VINet learns; meanings: `inpaint.vinet.lesson.LessonConfig`."""

    steps: int = Field(_VINET.steps, ge=1, le=100_000_000)
    batch: int = Field(_VINET.batch, ge=1, le=4096)
    optimizer: Literal["adam", "muon"] = _VINET.optimizer
    learning_rate: float = Field(_VINET.learning_rate, gt=0, lt=1)
    schedule: Literal["constant", "cosine", "trapezoid"] = _VINET.schedule
    warmup_steps: int = Field(_VINET.warmup_steps, ge=0)
    cooldown_share: float = Field(_VINET.cooldown_share, gt=0, lt=1)
    shares: list[Share] = Field([*_VINET.shares], min_length=3, max_length=3)
    window_px: int = Field(_VINET.window_px, ge=16, le=2048, multiple_of=8)
    pan_px: float = Field(_VINET.pan_px, ge=0, le=1000)
    frames: int = Field(_VINET.frames, ge=2, le=32)
    report_every: int = Field(20, ge=1)
    validate_every: int = Field(_VINET.validate_every, ge=1)

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
    capacity: Literal["auto", "small", "base", "large"] = "auto"
    size: Size | None = None
    fit: TrainFit | VINetFit
    seed: int = Field(0, ge=0, lt=2**63)
    precision: Literal["auto", "off", "bf16", "fp16"] = "auto"
    workers: int | None = Field(None, ge=1, le=1024)
    resources: WorkerOptions = WorkerOptions()
    checkpoint_every: int = Field(500, ge=1)
    max_failures: int = Field(8, ge=0)

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
    validation_share: float = Field(0.05, ge=0, le=0.2)


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
