"""How close two pictures are, PSNR and SSIM; how sharp a filled hole is; how two rankings agree.

Pictures are `N C H W` with 1 as peak value; what is asked of each picture comes back as `(N,)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

K1, K2 = 0.01, 0.03  # Wang et al. 2004, section III.B
BLOCK_PX, STRIDE_PX, RING_PX = 16, 4, 32  # of sharpness: blocks, their distance, what is "around"
FINE = 0.25  # cycles per pixel: half of what pixels can show


@dataclass(frozen=True)
class Average:
    """The mean of a clip's figures, and of how many pictures it speaks.

    Attributes:
        value: mean of the finite figures; None where there is none.
        pictures: how many pictures count.
        skipped: how many do not, their hole being empty or their difference zero.
    """

    value: float | None
    pictures: int
    skipped: int


def psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture, over all its channels.

    Args:
        a: `(N, C, H, W)` in [0, 1].
        b: the same.
        where: bool `(N, 1, H, W)`; only these pixels count.

    Returns:
        `(N,)` in dB: infinite where the pictures are equal, NaN where no pixel counts.
    """
    a, b = _same_kind(a, b)
    error = (a - b).square().mean(dim=1, keepdim=True)
    return -10 * torch.log10(_mean_inside(error, where))


def ssim(a: Tensor, b: Tensor, where: Tensor | None = None, window: int = 11) -> Tensor:
    """Structural similarity of each picture, the mean over its channels.

    Without `where` it is the mean of `ssim_map` over the pixels whose window lies inside the
    picture, as in scikit-image. With it, the mean over the chosen pixels, wherever they lie.

    Args:
        a: `(N, C, H, W)` in [0, 1].
        b: the same.
        where: bool `(N, 1, H, W)`; only these pixels count.
        window: side of the window in pixels, odd.

    Returns:
        `(N,)`, at most 1; NaN where no pixel counts or the picture is smaller than the window.
    """
    if min(a.shape[-2:]) < window:
        return a.new_full((len(a),), torch.nan, dtype=_precision(a))
    values = ssim_map(a, b, window).mean(dim=1, keepdim=True)
    if where is None:
        margin = window // 2
        height, width = values.shape[-2:]
        values = values[..., margin : height - margin, margin : width - margin]
    return _mean_inside(values, where)


def ssim_map(a: Tensor, b: Tensor, window: int = 11) -> Tensor:
    """Structural similarity around each pixel, beyond the border the picture's mirror image.

    The constants are those of Wang et al., Image Quality Assessment, 2004, eq. 13; the window is
    uniform and the covariance the sample's, as `structural_similarity` of scikit-image has them.

    Args:
        a: `(N, C, H, W)` in [0, 1].
        b: the same.
        window: side of the window in pixels, odd and within the picture.

    Returns:
        `(N, C, H, W)`, at most 1.
    """
    if window < 3 or window % 2 == 0 or window > min(a.shape[-2:]):
        height, width = a.shape[-2:]
        raise ValueError(f"an odd window of 3 px or more inside {width}×{height}, not {window}")
    a, b = _same_kind(a, b)
    mean_a, mean_b = _box_mean(a, window), _box_mean(b, window)
    sample = window**2 / (window**2 - 1)
    spread = _box_mean(a * a + b * b, window) - mean_a**2 - mean_b**2
    shared = _box_mean(a * b, window) - mean_a * mean_b
    light = (2 * mean_a * mean_b + K1**2) / (mean_a**2 + mean_b**2 + K1**2)
    return light * (2 * sample * shared + K2**2) / (sample * spread + K2**2)


def ring(hole: Tensor) -> Tensor:
    """Bool `(N, 1, H, W)`: the known pixels up to `RING_PX` from a hole, in rows and columns."""
    side, margin = 2 * RING_PX + 1, RING_PX
    columns = F.max_pool2d(hole.float(), (1, side), stride=1, padding=(0, margin))
    return (F.max_pool2d(columns, (side, 1), stride=1, padding=(margin, 0)) > 0) & ~hole


def fine_detail(pictures: Tensor, where: Tensor) -> Tensor:
    """Variance of the pictures' mean over channels that lies at `FINE` and above.

    From the spectra of Hann-windowed blocks without their mean, averaged over the blocks that have
    98 % of their window where asked: the seam of a hole lies in no block, or at its faint edge.

    A fill's sharpness is the ratio of its own to a yardstick's: 1 is as sharp, 0 is flat. With the
    truth's in the same hole only blur and noise move it. The `ring` around is fair where the same
    texture goes on inside: on three clips of DAVIS the truth itself has 1.5 to 1.9. Nothing is
    divided by contrast, for in a fill without any, rounding alone would look sharp. For a clip take
    the ratio of averages: among ratios, that of one flat picture outweighs all others.

    Args:
        pictures: `(N, C, H, W)` in [0, 1].
        where: bool `(N, 1, H, W)`; only blocks in these pixels count.

    Returns:
        `(N,)`; NaN where no block fits.
    """
    if pictures.shape[-2:] != where.shape[-2:] or len(pictures) != len(where):
        raise ValueError(f"a mask for {tuple(pictures.shape)}, not {tuple(where.shape)}")
    if min(pictures.shape[-2:]) < BLOCK_PX:
        return pictures.new_full((len(pictures),), torch.nan, dtype=_precision(pictures))
    grey = pictures.to(_precision(pictures)).mean(dim=1)
    return torch.stack([_detail(*pair) for pair in zip(grey, where[:, 0], strict=True)])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's correlation of two rankings, equal values sharing the mean of their ranks.

    Args:
        a: figures of some clips.
        b: other figures of the same clips; a pair of which one is NaN or infinite is left out.

    Returns:
        -1 to 1; None for fewer than 3 pairs, or where one side has but one value.
    """
    if len(a) != len(b):
        raise ValueError(f"figures of the same clips, not {len(a)} and {len(b)}")
    pairs = torch.tensor([list(a), list(b)], dtype=torch.float64)
    pairs = pairs[:, pairs.isfinite().all(dim=0)]
    ranks = torch.stack([_ranks(values) for values in pairs])
    if pairs.shape[1] < 3 or (ranks == ranks[:, :1]).all(dim=1).any():
        return None
    return float(torch.corrcoef(ranks)[0, 1])


def average(values: Tensor) -> Average:
    """Average a clip's figures `(N,)` over the pictures that have one.

    A picture with an empty hole has none: inside the hole it is NaN, and over the whole picture
    its PSNR is infinite.
    """
    finite = values[values.isfinite()]
    value = float(finite.mean()) if len(finite) else None
    return Average(value, len(finite), len(values) - len(finite))


def _mean_inside(values: Tensor, where: Tensor | None) -> Tensor:
    """Mean of each picture's `(N, 1, H, W)` where asked; NaN where nothing is."""
    if where is None:
        return values.mean(dim=(1, 2, 3))
    total = torch.where(where, values, 0).sum(dim=(1, 2, 3))
    return total / where.sum(dim=(1, 2, 3))


def _detail(grey: Tensor, where: Tensor) -> Tensor:
    """`fine_detail` of one picture `(H, W)`."""
    ramp = torch.hann_window(BLOCK_PX + 2, periodic=False, dtype=grey.dtype, device=grey.device)
    window = torch.outer(ramp[1:-1], ramp[1:-1])
    inside = F.conv2d(where[None, None].to(grey.dtype), window[None, None], stride=STRIDE_PX)
    views = grey.unfold(0, BLOCK_PX, STRIDE_PX).unfold(1, BLOCK_PX, STRIDE_PX)
    blocks = views[inside[0, 0] >= 0.98 * window.sum()]
    if not len(blocks):
        return grey.new_tensor(torch.nan)
    mean = (blocks * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2((blocks - mean) * window).abs().square()
    axis = torch.fft.fftfreq(BLOCK_PX, device=grey.device)
    fine = torch.hypot(axis[:, None], axis) >= FINE
    scale = BLOCK_PX**2 * window.square().sum()  # Parseval: white noise gives its variance's share
    return power[:, fine].sum(dim=1).mean() / scale


def _ranks(values: Tensor) -> Tensor:
    """Rank of each of `(n,)` from 1, ties at the mean of theirs."""
    below = (values[:, None] > values).sum(dim=1)
    same = (values[:, None] == values).sum(dim=1)
    return (below + (same + 1) / 2).double()


def _box_mean(picture: Tensor, window: int) -> Tensor:
    """Mean of the window around each pixel, rows then columns."""
    for axis, shape in ((-2, (window, 1)), (-1, (1, window))):
        mirrored = _mirrored(picture, window // 2, axis)
        picture = F.avg_pool2d(mirrored, shape, stride=1)
    return picture


def _mirrored(picture: Tensor, margin: int, axis: int) -> Tensor:
    """Grow both ends of an axis by the mirror image: `b a | a b c d | d c`."""
    before = picture.narrow(axis, 0, margin).flip(axis)
    after = picture.narrow(axis, picture.shape[axis] - margin, margin).flip(axis)
    return torch.cat([before, picture, after], dim=axis)


def _same_kind(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape:
        raise ValueError(f"pictures of one shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    return a.to(_precision(a)), b.to(_precision(a))


def _precision(picture: Tensor) -> torch.dtype:
    """Double where the device has it: SSIM subtracts two almost equal numbers."""
    return torch.float32 if picture.device.type == "mps" else torch.float64
