"""Samples made from the frames whose object is known: where the object is pasted, it is known too.

Shapes: `B C H W`; coordinates in pixels, x right and y down, `(…, 2)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.classical import telea
from inpaint.clip import Clip
from inpaint.holes import rolled


BEND, ASTRAY, WHOLE, SHADE = 0.03, 0.04, (0.25, 0.5), 0.25


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
        box: `(N, 4)`, the object's left, top, right and bottom.
    """

    picture: Tensor
    object: Tensor
    clean: Tensor
    box: Tensor
    pictures: Tensor | None = None
    beliefs: Tensor | None = None
    sure: Tensor | None = None


def known(clip: Clip, given: list[int]) -> Known:
    """Look up the given frames, of which each has a hole: its object."""
    picture, mask = clip.pictures(torch.tensor(given)), clip.hole[given]
    clean = torch.stack([_cleaned(*pair) for pair in zip(picture, mask, strict=True)])
    return Known(picture, mask, clean, torch.stack([_box(one[0]) for one in mask]))


def rolled_onto_itself(known: Known, batch: int, random: torch.Generator) -> Sample:
    """Paste the object onto its own frame, each at its own offset, with wrap-around.

    Where the object really is, nothing is asked. Source: IIVI, section 3.5.
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
    """Move object and background as a camera might have seen them a few frames later.

    The object turns, grows, bends, changes its light, hides behind strips of background and lies
    anywhere on its own frame, from which it was painted out; every fourth time it stays where it
    was in the frame. The guess is the object with errors of its own.

    Source: Khoreva et al., Lucid Data Dreaming, IJCV 2019, section 4. Deviations: occluders; a
    smooth random field bends instead of thin-plate splines; no second object, no optical flow.

    Args:
        crop: height and width of the samples, at most the frames'; they lie around the object.
        unguided: share of the samples with an empty guess.
    """
    device, size = random.device, known.picture.shape[-2:]
    frame = torch.randint(len(known.picture), (batch,), generator=random, device=device)
    box, mask = known.box[frame], known.object[frame].float()
    centre, extent = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2] + 1).mean(dim=1)
    whole = _chance(WHOLE[known.beliefs is not None], batch, random)
    original, sure = known.picture[frame], torch.ones_like(mask)
    if known.beliefs is not None:
        other = torch.randint(len(known.beliefs), (batch,), generator=random, device=device)
        pick = whole[..., None, None]
        original = torch.where(pick, known.pictures[other], original)
        mask = torch.where(pick, known.beliefs[other].float(), mask)
        sure = torch.where(pick, known.sure[other].float(), sure)
        box = torch.stack([_box(m[0]>0) for m in mask])
        centre, extent = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2] + 1).mean(dim=1)
    # Where everything comes from.
    frame_px = torch.tensor([size[1], size[0]], device=device)
    middle = (frame_px - 1) / 2
    near = (
        (centre + _normal(batch, 2, random) * frame_px * 0.08).clamp_(min=0).minimum(frame_px - 1)
    )
    target = torch.where(_chance(0.5, batch, random), near, _uniform(batch, 2, random) * frame_px)
    target = torch.where(whole, near, target)
    place = _places(target + _normal(batch, 2, random) * extent[:, None] * 0.3, crop, size)
    bend = _field(batch, crop, random) * extent[:, None, None, None] * BEND
    turn = _turns(batch, 0.25, random)
    source = _mapped(place, target, turn, centre) + bend
    wander = _normal(batch, 2, random) * frame_px * 0.05
    scenery = _mapped(place, middle + wander, _turns(batch, 0.1, random), middle)
    scenery = torch.where(whole[..., None, None], source, scenery)
    # The object on its background.
    backdrop = torch.where(whole[..., None, None], original, known.clean[frame])
    scene = _look(backdrop, scenery, "reflection")
    alpha = _look(mask, source, "zeros")
    shade = (_field(batch, crop, random)[..., :1].permute(0, 3, 1, 2) * SHADE).exp()
    change = torch.where(whole[..., None, None], 1, _gain(known, batch, 0.15, random) * shade)
    scene = torch.lerp(scene, (_look(original, source, "reflection") + 1) * change - 1, alpha)
    scene = (scene + 1) * _gain(known, batch, 0.05, random) - 1
    # Something before it.
    strip = _strips(place, target, extent, random) & _chance(0.35, batch, random)[..., None, None]
    other = scenery + _normal(batch, 2, random)[:, None, None] * frame_px * 0.3
    scene = torch.where(strip, _look(known.clean[frame], other, "reflection"), scene)
    seen = alpha.masked_fill(strip, 0)
    # A guess with errors.
    astray = target + _normal(batch, 2, random) * extent[:, None] * ASTRAY
    rough = _mapped(place, astray, turn @ _turns(batch, 0.05, random, flip=False), centre)
    rough = rough + bend + _field(batch, crop, random) * extent[:, None, None, None] * BEND
    level = _uniform(batch, 1, random)[..., None, None] * 0.6 + 0.2
    guess = (_look(F.avg_pool2d(mask, 5, 1, 2), rough, "zeros") > level).float()
    guess *= ~(strip & _chance(0.5, batch, random)[..., None, None])
    bite = _beyond(place, target, extent, random) & _chance(0.3, batch, random)[..., None, None]
    guess *= ~bite
    guess *= ~_chance(unguided, batch, random)[..., None, None]
    inside = _look(sure, scenery, "zeros") > 0.9
    blurred = F.avg_pool2d(F.pad(scene, (1, 1, 1, 1), mode="replicate"), 3, 1)
    scene = torch.where(_chance(0.25, batch, random)[..., None, None], blurred, scene)
    weight = (inside | ~whole[..., None, None]).float()
    return Sample(scene.clamp(-1, 1), guess, (seen > 0.5).float(), weight)


def _cleaned(picture: Tensor, mask: Tensor) -> Tensor:
    pixels = ((picture + 1) / 2).permute(1, 2, 0).cpu().numpy()
    filled = telea(pixels, mask[0].cpu().numpy())
    return torch.from_numpy(filled).permute(2, 0, 1).to(picture.device) * 2 - 1


def _box(mask: Tensor) -> Tensor:
    """Left, top, right and bottom of what is set in `(H, W)`."""
    rows, columns = (torch.nonzero(mask.any(dim=axis)).flatten() for axis in (1, 0))
    return torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float()


def _places(centre: Tensor, crop: tuple[int, int], size: torch.Size) -> Tensor:
    """Coordinates `(B, h, w, 2)` of crops around centres, inside the frame."""
    span = torch.tensor([crop[1], crop[0]], device=centre.device)
    room = torch.tensor([size[1], size[0]], device=centre.device) - span
    corner = (centre - span / 2).round().clamp_(min=0).minimum(room)
    y, x = (torch.arange(side, device=centre.device, dtype=torch.float32) for side in crop)
    steps = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return corner[:, None, None] + steps


def _mapped(place: Tensor, target: Tensor, turn: Tensor, source: Tensor) -> Tensor:
    """Coordinates turned around `target`, which comes to lie on `source`."""
    apart = place - target.expand(len(place), 2)[:, None, None]
    return (turn[:, None, None] @ apart[..., None])[..., 0] + source.expand(len(place), 2)[
        :, None, None
    ]


def _turns(batch: int, amount: float, random: torch.Generator, flip: bool = True) -> Tensor:
    """Matrices `(B, 2, 2)` near 1: zoom, rotation, shear; half of them mirrored if asked."""
    noise = torch.randn((batch, 2, 2), generator=random, device=random.device) * amount * 0.5
    zoom = (torch.randn((batch, 1, 1), generator=random, device=random.device) * amount).exp()
    matrix = (torch.eye(2, device=random.device) + noise) * zoom
    if flip:
        mirror = torch.where(_chance(0.5, batch, random), -1.0, 1.0)
        matrix = torch.cat([matrix[..., :1] * mirror[..., None], matrix[..., 1:]], dim=2)
    return matrix


def _field(batch: int, crop: tuple[int, int], random: torch.Generator) -> Tensor:
    """A smooth random field `(B, h, w, 2)` of deviation about 1."""
    coarse = torch.randn((batch, 2, 5, 8), generator=random, device=random.device)
    return F.interpolate(coarse, crop, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _beyond(place: Tensor, target: Tensor, extent: Tensor, random: torch.Generator) -> Tensor:
    """What lies on one side of a straight line near each target: bool `(B, 1, h, w)`."""
    angle = _uniform(len(place), 1, random)[:, 0] * 2 * torch.pi
    normal = torch.stack([angle.cos(), angle.sin()], dim=1)
    along = ((place - target[:, None, None]) * normal[:, None, None]).sum(dim=3)
    return (along > (_normal(len(place), 1, random)[:, 0] * extent * 0.2)[:, None, None])[:, None]


def _strips(place: Tensor, target: Tensor, extent: Tensor, random: torch.Generator) -> Tensor:
    """A straight strip near each target: bool `(B, 1, h, w)`."""
    batch = len(place)
    angle = _uniform(batch, 1, random)[:, 0] * torch.pi
    normal = torch.stack([angle.cos(), angle.sin()], dim=1)
    through = target + _normal(batch, 2, random) * extent[:, None] * 0.3
    away = ((place - through[:, None, None]) * normal[:, None, None]).sum(dim=3).abs()
    half_px = (0.05 + 0.2 * _uniform(batch, 1, random)[:, 0]) * extent
    return (away < half_px[:, None, None])[:, None]


def _look(picture: Tensor, place: Tensor, beyond: str) -> Tensor:
    """Read pictures `(B, C, H, W)` at coordinates `(B, h, w, 2)`."""
    size = torch.tensor(picture.shape[:-3:-1], device=picture.device)
    grid = (2 * place + 1) / size - 1
    return F.grid_sample(picture, grid, padding_mode=beyond, align_corners=False)


def _gain(known: Known, batch: int, amount: float, random: torch.Generator) -> Tensor:
    shape = (batch, known.picture.shape[1], 1, 1)
    return (torch.randn(shape, generator=random, device=random.device) * amount).exp()


def _chance(share: float, batch: int, random: torch.Generator) -> Tensor:
    return torch.rand((batch, 1), generator=random, device=random.device) < share


def _uniform(batch: int, columns: int, random: torch.Generator) -> Tensor:
    return torch.rand((batch, columns), generator=random, device=random.device)


def _normal(batch: int, columns: int, random: torch.Generator) -> Tensor:
    return torch.randn((batch, columns), generator=random, device=random.device)
