"""How a fit goes: its schedule, its holes, its losses; the recipes, and what follows from them.

IIVI: Ouyang et al., Internal Video Inpainting by Implicit Long-range Propagation, ICCV 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from inpaint.learning import Schedule
from inpaint.losses import AmbiguityForm
from inpaint.warps import WarpRanges

HoleKind = Literal["shifted", "free_form"]
FeatureKind = Literal["internal", "vgg19"]
PriorKind = Literal["none", "propagated", "vinet"]


@dataclass(frozen=True)
class FitConfig(Schedule):
    """How to fit. The defaults are the authors'.

    Attributes:
        holes: laid over the frames to learn on: the clip's own, `shifted`, or `free_form` strokes
            (the ablation of IIVI).
        shifted_holes: holes laid over each frame of a batch.
        hole_weight: extra weight of the pixels under these holes, where the others have 1.
        ambiguity: weight of the anti-ambiguity loss (eq. 3); 0.1 in the reference code.
        ambiguity_form, ambiguity_floor: see `losses.ambiguity`; `contextual` and 0 in the
            reference code.
        features: what it compares by: the network's own first layer, `internal`, or `vgg19`.
        features_path: state dict of `vgg19`; None looks in the torch hub cache.
        stabilisation: weight of the stabilisation loss (eqs. 4, 5); 0.2 in the reference code.
        warps: its `g`.
        regularise_share: part of the steps, the last ones, in which these two losses act; before,
            the network reconstructs only. IIVI: 20,000 of 80,000.
        prior: what is blended into the result: `none`, or what is `propagated` along the flow, or
            what a trained `vinet` makes (see `inpaint.prior`).
        validate_every: steps between measurements at the validation hole.
    """

    steps: int = 50_000
    batch: int = 5
    learning_rate: float = 2e-4
    holes: HoleKind = "shifted"
    shifted_holes: int = 1
    hole_weight: float = 0.0
    ambiguity: float = 0.0
    ambiguity_form: AmbiguityForm = "minimum"
    ambiguity_floor: float = 1.0
    features: FeatureKind = "internal"
    features_path: str | None = None
    stabilisation: float = 0.0
    warps: WarpRanges = field(default_factory=WarpRanges)
    regularise_share: float = 0.25
    prior: PriorKind = "none"
    validate_every: int = 500


RECIPES = {
    # The authors' schedule and losses (IIVI and its code).
    "paper": FitConfig(),
    # Ours: see docs/decisions.md for what each part brought.
    "fast": FitConfig(
        steps=6_000,
        batch=2,
        optimizer="muon",
        learning_rate=2e-2,
        weight_decay=0.1,
        schedule="trapezoid",
        warmup_steps=50,
        hole_weight=5.0,
        prior="propagated",
    ),
}


def regularises(step: int, end: int, config: FitConfig) -> bool:
    """Whether the regularisers act at a step (counted from 0) of a fit that ends after `end`."""
    return step >= end * (1 - config.regularise_share)
