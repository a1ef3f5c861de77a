"""Bringing other frames' features to where the target's are, and merging them. No flow is given.

Shapes: `B C H W`; the features of R references lie behind each other, `B·R C H W`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.precision import Conv2d
from inpaint.vinet.correlation import REACH_PX, correlation
from inpaint.vinet.layers import Gated
from inpaint.vinet.warping import enlarged, warped

VIEWS = (2 * REACH_PX + 1) ** 2


class FlowNetwork(nn.Module):
    """Estimate the flow from the target's features to a reference's.

    `(N, C, H, W)` twice `→ (N, 2, H, W)` float32; with a coarser flow given, what is to be added to
    it, the reference's features being warped by it already.

    Source: VINet's reference code, after Sun et al., PWC-Net, 2018: the estimator and its context
    network. Deviations: features are compared by their cosine; the context network's last layer is
    linear, since behind a leaky one it hardly corrects to the left and up; biases begin at 0, not
    at up to a pixel of flow, and the last layers small, so that nothing is warped at first.
    """

    def __init__(self, channels: int, width: float, *, refines: bool) -> None:
        super().__init__()
        inputs = channels + VIEWS + (2 if refines else 0)
        wide, middle, narrow, least = (round(width * count) for count in (128, 96, 64, 32))
        self.estimate = nn.Sequential(
            *_leaky(inputs, wide),
            *_leaky(wide, wide),
            *_leaky(wide, middle),
            *_leaky(middle, narrow),
            *_leaky(narrow, least),
        )
        self.coarse = _conv(least, 2, gain=0.1)
        self.context = nn.Sequential(
            *_leaky(least + 2, wide),
            *_leaky(wide, wide, 2),
            *_leaky(wide, wide, 4),
            *_leaky(wide, middle, 8),
            *_leaky(middle, narrow, 16),
            *_leaky(narrow, least),
            _conv(least, 2, gain=0.1),
        )

    def forward(self, here: Tensor, there: Tensor, coarser: Tensor | None = None) -> Tensor:
        known = [here, correlation(_standard(here), _standard(there))]
        if coarser is not None:
            known.append(coarser.to(here.dtype, memory_format=torch.channels_last))
        x = self.estimate(torch.cat(known, dim=1))
        coarse = self.coarse(x)
        return coarse.float() + self.context(torch.cat([x, coarse], dim=1)).float()


class Alignment(nn.Module):
    """Align the references' features with the target's at one scale, and merge them all.

    Args:
        channels: of the features.
        references: R.
        width: of the flow network, 1 being the paper's.
        refines: whether a coarser flow is given.
    """

    def __init__(self, channels: int, references: int, width: float, *, refines: bool) -> None:
        super().__init__()
        self.references = references
        self.flow = FlowNetwork(channels, width, refines=refines)
        # A 3-D convolution (R, 3, 3) over R frames is a 2-D one over the channels of all.
        self.aggregate = Gated(references * channels, channels)
        self.share = share_of(channels)

    def forward(self, own: Tensor, others: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the merged features `(B, C, H, W)` and the flows `(B·R, 2, H, W)`.

        Args:
            own: `(B, C, H, W)`, the target's features.
            others: `(B·R, C, H, W)`, the references'.
            coarser: `(B·R, 2, H / 2, W / 2)`, the flows of the scale before.
        """
        flow = follow(self.flow, own.repeat_interleave(self.references, dim=0), others, coarser)
        aligned = warped(others, flow)
        together = self.aggregate(aligned.reshape(len(own), -1, *own.shape[-2:]))
        share = self.share((own - together).abs())
        return own + share * (together - own), flow


def follow(network: FlowNetwork, own: Tensor, others: Tensor, coarser: Tensor | None) -> Tensor:
    """Return the flow, in steps: along the coarser one first, and then what is missing."""
    if coarser is None:
        return network(own, others)
    flow = enlarged(coarser)
    return flow + network(own, warped(others, flow), flow)


def share_of(channels: int) -> nn.Sequential:
    """Mask sub-network: from how far features differ to how much the other counts, 0 to 1."""
    half = channels // 2
    return nn.Sequential(*_leaky(channels, half), *_leaky(half, half), _conv(half, 1), nn.Sigmoid())


def _standard(features: Tensor) -> Tensor:
    """Each channel by its own mean and deviation, then each place by its length: `Σ_c x² = C`.

    The correlation is a cosine then. Features as they come are small and all positive: their
    products hardly tell places apart, and a flow network learns nothing from them.
    """
    x = features.to(torch.float32, memory_format=torch.channels_last)
    x = x - x.mean(dim=(2, 3), keepdim=True)
    # Not `torch.std_mean`, which takes thirty times as long on a CPU.
    x = x * (x.square().mean(dim=(2, 3), keepdim=True) + 1e-12).rsqrt()
    return (F.normalize(x, dim=1) * x.shape[1] ** 0.5).to(features.dtype)


def _leaky(inputs: int, channels: int, dilation: int = 1) -> list[nn.Module]:
    return [_conv(inputs, channels, dilation), nn.LeakyReLU(0.1)]


def _conv(inputs: int, channels: int, dilation: int = 1, gain: float = 1.0) -> Conv2d:
    conv = Conv2d(inputs, channels, 3, padding=dilation, dilation=dilation)
    nn.init.xavier_uniform_(conv.weight, gain)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
