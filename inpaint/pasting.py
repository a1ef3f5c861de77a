"""Samples made from the frames whose object is known: where the object is pasted, it is known too.

Shapes: `B C H W`. Places are coordinates in pixels, x then y: `(B, h, w, 2)`, or `(B, 1, 1, 2)`
where a sample has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.classical import telea
from inpaint.clip import Clip
from inpaint.holes import rolled


@dataclass(frozen=True)
class Sample:
    """What the network is shown and what it should say.

    Attributes:
        picture: `(B, C, H, W)` in [-1, 1].
        guess: `(B, 1, H, W)` in [0, 1], roughly where the object is; all 0 where there is none.
        object: `(B, 1, H, W)` in [0, 1], where it is.
        weight: `(B, 1, H, W)`, 0 where nobody knows.
    """

    picture: Tensor
    guess: Tensor
    object: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Known:
    """The frames whose object is known.

    Attributes:
        picture: `(N, C, H, W)` in [-1, 1].
        object: `(N, 1, H, W)` bool.
        clean: `(N, C, H, W)` in [-1, 1], the object painted over from its surroundings.
        centre: `(N, 1, 1, 2)`, of the box around the object.
        extent_px: `(N, 1, 1, 1)`, mean of that box's sides.
    """

    picture: Tensor
    object: Tensor
    clean: Tensor
    centre: Tensor
    extent_px: Tensor

    def drawn(self, frame: Tensor) -> Known:
        """Return the frames of these numbers, for a batch."""
        return Known(
            self.picture[frame],
            self.object[frame],
            self.clean[frame],
            self.centre[frame],
            self.extent_px[frame],
        )


def known(clip: Clip, given: list[int]) -> Known:
    """Look up the given frames, of which each has a hole: its object."""
    picture, mask = clip.pictures(torch.tensor(given)), clip.hole[given]
    clean = torch.stack([_cleaned(*pair) for pair in zip(picture, mask, strict=True)])
    boxes = torch.stack([_box(one[0]) for one in mask])[:, None, None]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    extent_px = (boxes[..., 2:] - boxes[..., :2] + 1).mean(dim=3, keepdim=True)
    return Known(picture, mask, clean, centre, extent_px)


def rolled_onto_itself(known: Known, batch: int, random: torch.Generator) -> Sample:
    """Paste the object onto its own frame, each at its own offset, with wrap-around.

    Where the object really is, nothing is asked. The guess is empty.

    Source: IIVI (Ouyang et al., ICCV 2021), `M'_0 ⊙ (1 − M_0)`, and its code.
    """
    device = random.device
    frame = torch.randint(len(known.picture), (batch,), generator=random, device=device)
    picture, mask = known.picture[frame], known.object[frame]
    height, width = mask.shape[-2:]
    down = torch.randint(height, (batch,), generator=random, device=device)
    right = torch.randint(width, (batch,), generator=random, device=device)
    pasted = rolled(mask, down, right)
    planes = [rolled(plane, down, right) for plane in picture.split(1, dim=1)]
    scene = torch.where(pasted, torch.cat(planes, dim=1), picture)
    return Sample(scene, torch.zeros_like(scene[:, :1]), pasted.float(), (~mask).float())


def scenes(
    known: Known, batch: int, crop: tuple[int, int], unguided: float, random: torch.Generator
) -> Sample:
    """Move object and background as a camera might have seen them some frames later.

    The object turns, grows, bends, changes its light and hides behind a strip of background,
    anywhere on its own frame, from which it was painted out and which may have other colours;
    every fourth time it keeps its surroundings. The guess is the object's mask with errors of its
    own, sometimes only a part.

    Source: Khoreva et al., Lucid Data Dreaming for Video Object Segmentation, IJCV 2019.
    Deviations: a smooth random field bends instead of thin-plate splines; occluders, shade and
    other colours; the network is not shown the flow.

    Args:
        crop: height and width of the samples, at most the frames'; they lie around the object.
        unguided: share of the samples with an empty guess.
    """
    dice = _Dice(batch, random)
    known = known.drawn(dice.number(len(known.picture)))
    stays = dice.chance(0.25)
    pose = _posed(known, stays, crop, dice)
    strip = _strips(pose, dice) & dice.chance(0.35)
    mask = known.object.float()
    alpha = _look(mask, pose.source, "zeros")
    scene = _painted(known, stays, pose, alpha, strip, dice)
    guess = _guessed(mask, pose, strip, dice) & ~dice.chance(unguided)
    inside = _look(torch.ones_like(mask), pose.scenery, "zeros") > 0.9
    seen, asked = (alpha > 0.5) & ~strip, inside | ~stays
    return Sample(scene.clamp(-1, 1), guess.float(), seen.float(), asked.float())


class _Dice:
    """Random numbers for each sample of a batch, `(B, …)`."""

    def __init__(self, batch: int, random: torch.Generator) -> None:
        self.batch, self.random = batch, random

    def number(self, count: int) -> Tensor:
        return torch.randint(count, (self.batch,), generator=self.random, device=self.random.device)

    def chance(self, share: float) -> Tensor:
        return self.uniform(1, 1, 1) < share

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand((self.batch, *shape), generator=self.random, device=self.random.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn((self.batch, *shape), generator=self.random, device=self.random.device)


@dataclass(frozen=True)
class _Pose:
    """How a sample's camera stands.

    Attributes:
        place: the sample's pixels in the frame it is made for.
        target: where the object's centre comes to lie there.
        turn: `(B, 1, 1, 2, 2)`, from there to the known frame.
        source: for each place, where the object is looked up in the known frame.
        scenery: and where the background is.
        centre: where the object's centre was.
        extent_px: how large the object was.
    """

    place: Tensor
    target: Tensor
    turn: Tensor
    source: Tensor
    scenery: Tensor
    centre: Tensor
    extent_px: Tensor


def _posed(known: Known, stays: Tensor, crop: tuple[int, int], dice: _Dice) -> _Pose:
    size = _sides(known.picture.shape[-2:], known.picture.device)
    # Where the object comes to lie: near where it was, or anywhere.
    near = (known.centre + dice.normal(1, 1, 2) * size * 0.08).clamp(min=0).minimum(size - 1)
    anywhere = dice.uniform(1, 1, 2) * size
    target = torch.where(stays | dice.chance(0.5), near, anywhere)
    place = _places(target + dice.normal(1, 1, 2) * known.extent_px * 0.3, crop, size)
    # How it and its background got there.
    turn = _turns(0.25, dice) * _mirrors(dice)
    source = _mapped(place, target, turn, known.centre)
    source = source + _bends(crop, dice) * known.extent_px * 0.03
    middle, wander = (size - 1) / 2, dice.normal(1, 1, 2) * size * 0.05
    scenery = _mapped(place, middle + wander, _turns(0.25, dice) * _mirrors(dice), middle)
    scenery = torch.where(stays, source, scenery)
    return _Pose(place, target, turn, source, scenery, known.centre, known.extent_px)


def _painted(
    known: Known, stays: Tensor, pose: _Pose, alpha: Tensor, strip: Tensor, dice: _Dice
) -> Tensor:
    """The object on its background, and before it a strip; sometimes out of focus."""
    backdrop = torch.where(stays, known.picture, known.clean)
    scene = _look(backdrop, pose.scenery, "reflection")
    scene = torch.where(dice.chance(0.4) & ~stays, _recoloured(scene, dice), scene)
    shade = (_bends(tuple(alpha.shape[-2:]), dice)[..., :1].permute(0, 3, 1, 2) * 0.25).exp()
    tint = (dice.normal(known.picture.shape[1], 1, 1) * 0.15).exp()
    light = torch.where(stays, 1, shade * tint)
    cutout = (_look(known.picture, pose.source, "reflection") + 1) * light - 1
    scene = torch.lerp(scene, cutout, alpha)
    size = _sides(known.picture.shape[-2:], scene.device)
    elsewhere = pose.scenery + dice.normal(1, 1, 2) * size * 0.3
    scene = torch.where(strip, _look(known.clean, elsewhere, "reflection"), scene)
    scene = (scene + 1) * (dice.normal(known.picture.shape[1], 1, 1) * 0.05).exp() - 1
    blurred = F.avg_pool2d(F.pad(scene, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(dice.chance(0.25), blurred, scene)


def _recoloured(scene: Tensor, dice: _Dice) -> Tensor:
    """Mix the channels at random: what is unlike the known background is not yet the object."""
    channels = scene.shape[1]
    mix = torch.eye(channels, device=scene.device) + dice.normal(channels, channels) * 0.6
    return torch.einsum("bij,bjhw->bihw", mix, scene).clamp(-1, 1)


def _guessed(mask: Tensor, pose: _Pose, strip: Tensor, dice: _Dice) -> Tensor:
    """The mask a little elsewhere and otherwise bent, too fat or too thin, or only a part of it."""
    astray = pose.target + dice.normal(1, 1, 2) * pose.extent_px * 0.04
    rough = _mapped(pose.place, astray, pose.turn @ _turns(0.05, dice), pose.centre)
    rough = rough + _bends(tuple(strip.shape[-2:]), dice) * pose.extent_px * 0.03
    soft = _look(F.avg_pool2d(mask, 5, stride=1, padding=2), rough, "zeros")
    guess = soft > 0.2 + 0.6 * dice.uniform(1, 1, 1)
    cut = _across(pose, dice) > dice.normal(1, 1) * pose.extent_px[..., 0] * 0.2
    return guess & ~(strip & dice.chance(0.5)) & ~(cut[:, None] & dice.chance(0.3))


def _strips(pose: _Pose, dice: _Dice) -> Tensor:
    """A straight strip across each object: bool `(B, 1, h, w)`."""
    away = _across(pose, dice) + dice.normal(1, 1) * pose.extent_px[..., 0] * 0.3
    half_px = (0.05 + 0.2 * dice.uniform(1, 1)) * pose.extent_px[..., 0]
    return (away.abs() < half_px)[:, None]


def _across(pose: _Pose, dice: _Dice) -> Tensor:
    """Signed distance of each place from a line through the target, `(B, h, w)` in pixels."""
    angle = dice.uniform(1, 1) * 2 * torch.pi
    normal = torch.stack([angle.cos(), angle.sin()], dim=3)
    return ((pose.place - pose.target) * normal).sum(dim=3)


def _places(middle: Tensor, crop: tuple[int, int], size: Tensor) -> Tensor:
    """The places of crops around their middles, inside the frame."""
    span = _sides(crop, middle.device)
    corner = (middle - span / 2).round().clamp(min=0).minimum(size - span)
    y, x = (torch.arange(side, device=middle.device, dtype=torch.float32) for side in crop)
    return corner + torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)


def _mapped(place: Tensor, target: Tensor, turn: Tensor, source: Tensor) -> Tensor:
    """Turn places around `target`, which comes to lie on `source`."""
    return (turn @ (place - target)[..., None])[..., 0] + source


def _turns(amount: float, dice: _Dice) -> Tensor:
    """Matrices `(B, 1, 1, 2, 2)` near 1: zoom, rotation, shear."""
    change = torch.eye(2, device=dice.random.device) + dice.normal(1, 1, 2, 2) * (amount / 2)
    return change * (dice.normal(1, 1, 1, 1) * amount).exp()


def _mirrors(dice: _Dice) -> Tensor:
    """What mirrors a matrix's x, half of the time: `(B, 1, 1, 1, 2)`."""
    sign = torch.where(dice.chance(0.5), -1.0, 1.0)
    return torch.stack([sign, torch.ones_like(sign)], dim=4)


def _bends(crop: tuple[int, ...], dice: _Dice) -> Tensor:
    """A smooth random field `(B, h, w, 2)` of deviation about 1."""
    smooth = F.interpolate(dice.normal(2, 5, 8), crop, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _look(picture: Tensor, place: Tensor, beyond: str) -> Tensor:
    """Read pictures `(B, C, H, W)` at places."""
    size = _sides(picture.shape[-2:], picture.device)
    grid = (2 * place + 1) / size - 1
    return F.grid_sample(picture, grid, padding_mode=beyond, align_corners=False)


def _sides(size: Sequence[int], device: torch.device) -> Tensor:
    """Width and height, `(2,)`, of a size; made there, since the device waits for a copy."""
    height, width = (torch.full((), float(side), device=device) for side in size)
    return torch.stack([width, height])


def _cleaned(picture: Tensor, mask: Tensor) -> Tensor:
    pixels = ((picture + 1) / 2).permute(1, 2, 0).cpu().numpy()
    filled = telea(pixels, mask[0].cpu().numpy())
    return torch.from_numpy(filled).permute(2, 0, 1).to(picture.device) * 2 - 1


def _box(mask: Tensor) -> Tensor:
    """Left, top, right and bottom of what is set in `(H, W)`."""
    rows, columns = (torch.nonzero(mask.any(dim=axis)).flatten() for axis in (1, 0))
    return torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float()
