"""What a fit minimises. Shapes: `B C H W`; masks `B 1 H W`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.features import Features

AmbiguityForm = Literal["minimum", "contextual"]


def reconstruction(stages: Sequence[Tensor], truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of every stage's picture, summed over the stages.

    Args:
        stages: pictures `(B, C, H, W)` in [-1, 1].
        truth: `(B, C, H, W)` in [-1, 1]; what has weight 0 is not looked at.
        weight: `(B, 1, H, W)`, 0 on everything unknown.

    Returns:
        Scalar: the mean over all pixels of the tensor, those of weight 0 counted.

    Source: IIVI, eq. 2, `‖(Y − X) ⊙ (1 − M)‖₁`; the mean over all pixels is the reference code's.
    """
    picture = truth.masked_fill(weight == 0, 0)
    return sum(((y - picture).abs() * weight).mean() for y in stages)  # type: ignore[return-value]


def stabilisation(
    stages: Sequence[Tensor],
    warped_stages: Sequence[Tensor],
    truth: Tensor,
    warped_truth: Tensor,
    weight: Tensor,
) -> Tensor:
    """Weighted L1 between how the result changes under `g` and how the truth does.

    Args:
        stages: `Y`, the network's pictures `(B, C, H, W)` of `X` with `hidden` hidden.
        warped_stages: `Y'`, those of `g(X)` with `g(hidden)` hidden: the hidden region moves along.
        truth: `X`, `(B, C, H, W)` in [-1, 1]; what has weight 0 is not looked at.
        warped_truth: `g(X)`, likewise.
        weight: `(B, 1, H, W)`, 0 on everything unknown before or after: on `M ∪ g(M)`.

    Returns:
        Scalar, the mean over all pixels as in `reconstruction`, summed over the stages.

    Source: IIVI, eqs. 4 and 5, `‖((Y' − Y) − (g(X) − X)) ⊙ (1 − M ∪ g(M))‖₁`; both stages, as in
    the reference code.
    """
    changes = [after - before for before, after in zip(stages, warped_stages, strict=True)]
    return reconstruction(changes, warped_truth - truth, weight)


def ambiguity(
    features: Features,
    output: Tensor,
    target: Tensor,
    generated: Tensor,
    known: Tensor,
    random: torch.Generator,
    form: AmbiguityForm = "minimum",
    crop_px: int = 128,
    points: int = 512,
    floor: float = 1.0,
) -> Tensor:
    """How far what was generated is from everything known in another frame of the clip.

    Each sample is looked at in one place, around a random pixel of its generated region: a crop of
    the output, and one of twice the side of the target. So memory does not grow with the frame.

    Args:
        features: what pictures are compared by.
        output: `Y`, `(B, C, H, W)` in [-1, 1]; the gradient goes here alone.
        target: `X_t`, a random frame for each sample; what is not known is not looked at.
        generated: `(B, 1, H, W)` bool, where the loss looks: the shifted holes. A sample that has
            none counts as 0.
        known: `(B, 1, H, W)` bool, the target's known pixels.
        random: places the crops and chooses the points.
        form: `minimum`, the paper's: the cosine distance of each generated point to the nearest
            known one. `contextual`, the reference code's: that of Mechrez et al.
        crop_px: side of the output's crop.
        points: compared at most, of each crop.
        floor: share of the target's mean feature length below which a feature counts as too short,
            so as less like any other. 0 is the plain cosine distance, of directions alone, by which
            blurred texture is as near as sharp, or nearer.

    Returns:
        Scalar, the mean over the samples.

    Source: IIVI, eq. 3; Mechrez et al., The Contextual Loss, 2018, eqs. 2 to 5. Both forms centre
    the features on the target's mean, as the latter does; the floor is ours. The reference code
    compares whole frames with their holes set to grey, one mean for the batch.
    """
    # Look at one place: in the output, and more widely around it in the target.
    place, stride = _pixel_inside(generated, random), features.stride
    made, inside = _cropped([output, generated], place, crop_px, stride)
    seen, sure = _cropped([target, known], place, 2 * crop_px, stride)
    # Choose points: generated ones, and known ones that nothing unknown is next to.
    touched = F.max_pool2d(inside.float(), stride) > 0
    clear = F.max_pool2d((~sure).float(), 3 * stride, stride, padding=stride) == 0
    s, from_hole = _points(features(made), touched, points, random)
    with torch.no_grad():
        t, from_known = _points(features(seen.masked_fill(~sure, 0)), clear, points, random)
    # Compare (eq. 3).
    compare = _contextual if form == "contextual" else _minimum
    if features.even:
        s, t = _evened(s, t, from_known)
    distance = _cosine_distance(s, t, from_known, floor)
    return compare(distance, from_hole, from_known).mean()


def _pixel_inside(mask: Tensor, random: torch.Generator) -> Tensor:
    """Draw row and column `(B, 2)` of a set pixel of each mask; any pixel where none is."""
    flat = mask.flatten(1)
    score = torch.rand(flat.shape, generator=random, device=random.device)
    place = score.masked_fill(~flat, -1).argmax(dim=1)
    return torch.stack([place // mask.shape[-1], place % mask.shape[-1]], dim=1)


_MARGIN = 3  # in strides: measured, so far the padding of the convolutions shows


def _cropped(maps: Sequence[Tensor], place: Tensor, side_px: int, stride: int) -> list[Tensor]:
    """Cut each `(B, C, H, W)` around the sample's own place, or as near to that as the frame is.

    The sides are multiples of the stride, of `side_px` or of the frame's where that is less, and
    a margin all around: the frame's own pixels, and beyond its border their mirror image.
    """
    height, width = maps[0].shape[-2:]
    rows = _span(place[:, 0], height, side_px, stride)[:, :, None]
    columns = _span(place[:, 1], width, side_px, stride)[:, None, :]
    sample = torch.arange(len(place), device=place.device)[:, None, None]
    return [pixels[sample, :, rows, columns].movedim(-1, 1) for pixels in maps]


def _span(centre: Tensor, length: int, side_px: int, stride: int) -> Tensor:
    """`(B, side + margins)`: the pixels of one axis that a crop takes."""
    side, margin = min(side_px, length) // stride * stride, _MARGIN * stride
    if side == 0:
        raise ValueError(f"a crop of {side_px} px in {length} px has no room for {stride} px")
    start = (centre - side // 2).clamp(0, length - side)
    pixels = start[:, None] + torch.arange(-margin, side + margin, device=centre.device)
    return (length - 1 - (length - 1 - pixels.abs()).abs()).clamp(min=0)


def _points(
    features: Tensor, cells: Tensor, count: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose at most `count` of the features `(B, F, h, w)`, those first whose cell is set.

    Returns:
        `(B, P, F)`, and `(B, P)` bool: whether the point's cell `(B, 1, h, w)` is set.
    """
    inner = slice(_MARGIN, -_MARGIN)
    features, flat = features[..., inner, inner], cells[..., inner, inner].flatten(1)
    score = torch.rand(flat.shape, generator=random, device=random.device)
    chosen = score.masked_fill(~flat, -1).topk(min(count, flat.shape[1])).indices
    every = chosen[:, None].expand(-1, features.shape[1], -1)
    return features.flatten(2).gather(2, every).mT, flat.gather(1, chosen)


def _evened(s: Tensor, t: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Divide each channel of `s` and `t` `(B, ·, F)` by its spread over those `t` that count."""
    away = t - _mean(t, counts[..., None])[:, None]
    spread = _mean(away.square(), counts[..., None])[:, None].sqrt()
    spread = spread + _LEAST_SPREAD * spread.mean(dim=2, keepdim=True) + 1e-6
    return s / spread, t / spread


_LEAST_SPREAD = 0.05  # of the channels' mean: one that hardly varies is rounding


def _cosine_distance(s: Tensor, t: Tensor, counts: Tensor, floor: float) -> Tensor:
    """`(B, P, Q)` in [0, 2], both centred on the mean of those `t` `(B, Q, F)` that count.

    A vector is divided by its length, or by `floor` times the mean length of those `t` if that is
    more; never by less than a thousandth of the uncentred length: where a picture is flat, the
    direction is noise and the gradient would have no bound.
    """
    with torch.autocast(s.device.type, enabled=False):
        s, t = s.float(), t.float()
        least = 1e-3 * t.norm(dim=2).mean(dim=1) + 1e-8
        mean = _mean(t, counts[..., None])[:, None]
        s, t = s - mean, t - mean
        shortest = torch.maximum(floor * _mean(t.norm(dim=2), counts), least)[:, None, None]
        return 1 - _shortened(s, shortest) @ _shortened(t, shortest).mT


def _shortened(vectors: Tensor, shortest: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=2, keepdim=True).clamp(min=shortest)


def _minimum(distance: Tensor, from_hole: Tensor, from_known: Tensor) -> Tensor:
    """`(B,)`: the mean over p of the distance to the nearest q."""
    nearest = distance.masked_fill(~from_known[:, None], _FARTHEST).amin(dim=2)
    return _mean(nearest, from_hole & from_known.any(dim=1, keepdim=True))


def _contextual(distance: Tensor, from_hole: Tensor, from_known: Tensor) -> Tensor:
    """`(B,)`: −log of the mean over q of the greatest affinity that any p has to it."""
    distance = distance.masked_fill(~from_known[:, None], _FARTHEST)
    relative = distance / (distance.amin(dim=2, keepdim=True) + 1e-5)
    affinity = torch.exp((1 - relative) * 2) * from_known[:, None]
    share = affinity / affinity.sum(dim=2, keepdim=True).clamp(min=1e-8)
    greatest = (share * from_hole[..., None]).amax(dim=1)
    closeness = _mean(greatest, from_known)
    return -closeness.where(closeness > 0, 1).log()


_FARTHEST = 2.0  # of cosine distances


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Mean over the second axis of what counts; 0 where nothing does."""
    return (values * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
