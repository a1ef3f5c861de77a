"""One step of internal learning: hide, fill, compare, learn.

Shapes: `B C H W`; masks `B 1 H W`. Equations: IIVI (Ouyang et al., ICCV 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inpaint.clip import Clip
from inpaint.features import Features, internal, vgg19
from inpaint.holes import free_form, shifted_holes
from inpaint.learning import State
from inpaint.losses import ambiguity, reconstruction, stabilisation
from inpaint.network import Network
from inpaint.recipes import FitConfig, regularises
from inpaint.warps import draw


@dataclass(frozen=True)
class Batch:
    """What a step learns from, `(B, …)`.

    Attributes:
        truth: pictures in [-1, 1].
        unknown: bool, the real hole and all else that is never shown and never supervised (`M`).
        shifted: bool, what is hidden to learn on (`M'`).
        prior: pictures in [-1, 1], where there are any.
    """

    truth: Tensor
    unknown: Tensor
    shifted: Tensor
    prior: Tensor | None

    @property
    def hidden(self) -> Tensor:
        return self.unknown | self.shifted

    def weight(self, of_shifted: float) -> Tensor:
        """Return what each pixel counts, `(B, 1, H, W)`: 1, more under shifted holes, unknown 0."""
        return (1 + of_shifted * self.shifted.float()).masked_fill_(self.unknown, 0)


def draw_batch(clip: Clip, donors: Tensor, config: FitConfig, random: torch.Generator) -> Batch:
    """Draw frames of the clip and holes to lay over them."""
    index = torch.randint(len(clip), (config.batch,), generator=random, device=random.device)
    shifted = torch.zeros_like(clip.unknown[index])
    for _ in range(config.shifted_holes):
        if config.holes == "free_form":
            shifted |= free_form(config.batch, clip.size, random)
        else:
            shifted |= shifted_holes(donors, config.batch, random)
    return Batch(clip.pictures(index), clip.unknown[index], shifted, clip.priors(index))


def step(
    network: Network,
    clip: Clip,
    batch: Batch,
    features: Features | None,
    config: FitConfig,
    state: State,
    rate: float,
) -> Tensor:
    """One step: hide, fill, compare, learn. Returns the loss, still on the device."""
    # Hide the real hole and shifted ones, and fill (eq. 1).
    stages = _filled(network, batch.truth, batch.hidden, batch.prior, state)
    # Compare where the truth is known (eq. 2).
    loss = reconstruction(stages, batch.truth, batch.weight(config.hole_weight))
    if regularises(state.step, state.end, config):
        if features is not None:
            loss = loss + config.ambiguity * _ambiguity(
                clip, batch, stages, features, config, state
            )
        if config.stabilisation:
            loss = loss + config.stabilisation * _unsteadiness(
                network, batch, stages, config, state
            )
    # Learn.
    return state.descend(loss, rate)


def _filled(
    network: Network, picture: Tensor, hidden: Tensor, prior: Tensor | None, state: State
) -> list[Tensor]:
    with state.accelerator.autocast():
        stages = network(picture, hidden.float(), prior)
    # As the clip's pictures lie: arithmetic on two that lie differently is several times slower.
    plain = torch.contiguous_format
    return [stage.to(torch.float32, memory_format=plain) for stage in stages]


def _ambiguity(
    clip: Clip,
    batch: Batch,
    stages: list[Tensor],
    features: Features,
    config: FitConfig,
    state: State,
) -> Tensor:
    """What was made under the shifted holes should be found somewhere in the clip (eq. 3)."""
    other = torch.randint(len(clip), (config.batch,), generator=state.random, device=state.device)
    return ambiguity(
        features,
        stages[-1],
        clip.pictures(other),
        batch.shifted,
        ~clip.unknown[other],
        state.random,
        config.ambiguity_form,
        crop_px=min(128, max(32, min(clip.size) // 2 // 16 * 16)),  # a part of small frames, too
        floor=config.ambiguity_floor,
    )


def _unsteadiness(
    network: Network, batch: Batch, stages: list[Tensor], config: FitConfig, state: State
) -> Tensor:
    """A small change of the input should change the output alike (eqs. 4, 5)."""
    height, width = batch.truth.shape[-2:]
    g = draw(len(batch.truth), (height, width), config.warps, state.random)
    unknown = g.masks(batch.unknown)
    truth = g.pictures(batch.truth, batch.unknown)
    prior = None if batch.prior is None else g.pictures(batch.prior)
    warped = _filled(network, truth, unknown | g.masks(batch.shifted), prior, state)
    known = ~(batch.unknown | unknown)
    return stabilisation(stages, warped, batch.truth, truth, known.float())


def features_of(network: Network, config: FitConfig, device: torch.device) -> Features | None:
    """Return what the anti-ambiguity loss compares by, None where it has no weight."""
    if not config.ambiguity:
        return None
    if config.features == "internal":
        return internal(network)
    path = None if config.features_path is None else Path(config.features_path)
    return vgg19(path, device)
