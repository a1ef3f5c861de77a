"""Gated convolution: the one building block of the networks."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.precision import Conv2d

Activation = Literal["elu", "relu"]


class GatedConv(nn.Module):
    """Convolution whose second half of channels gates the first: `act(a) · sigmoid(b)`.

    `(B, inputs, H, W) → (B, channels / 2, ⌈H / stride⌉, ⌈W / stride⌉)`. No normalisation.
    `channels` counts the convolution's own outputs, as the reference implementation does, so half
    of it comes out. Zero padding keeps the size.

    Source: Yu et al., Free-Form Image Inpainting with Gated Convolution, 2019, eq. 3, in the form
    of the IIVI reference code (one convolution, split).
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: Activation = "elu",
    ) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = Conv2d(inputs, channels, kernel, stride, padding, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.conv(x))

    def gate(self, both: Tensor) -> Tensor:
        return gated(both, self.activation)


class GatedUp(nn.Module):
    """Nearest-neighbour ×2, then a gated 3×3: `(B, inputs, H, W) → (B, channels / 2, 2H, 2W)`.

    Computed as one transposed 4×4 convolution of stride 2: a pixel that is repeated meets the sums
    of the 3×3 taps that would have met it. That is 4/9 of the multiplications, and no large input.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.gated = GatedConv(inputs, channels)

    def forward(self, x: Tensor) -> Tensor:
        conv = self.gated.conv
        sums = F.avg_pool2d(conv.weight, 2, stride=1, padding=1, divisor_override=1)
        both = F.conv_transpose2d(x, sums.flip(2, 3).transpose(0, 1), stride=2, padding=1)
        assert conv.bias is not None
        return self.gated.gate(_biased(both, conv.bias.to(both.dtype)))


def _biased(x: Tensor, bias: Tensor) -> Tensor:
    """Add a number to each channel.

    Row by row where the channels lie behind each other: there PyTorch is slow to repeat a few
    numbers, and its convolution slow to find their gradient in bf16.
    """
    if not x.is_contiguous(memory_format=torch.channels_last):
        return x + bias[:, None, None]
    places = x.movedim(1, 3)
    rows = places.flatten(2) + bias.repeat(x.shape[3])
    return rows.view(places.shape).movedim(3, 1)


def gated(both: Tensor, activation: Activation = "elu") -> Tensor:
    """`act(a) · sigmoid(b)` of the halves a, b: `(B, 2C, H, W) → (B, C, H, W)`.

    The halves are made whole first: with channels last they lie interleaved, where elementwise
    arithmetic is several times slower. Kept for the gradient are the two factors, nothing else.
    """
    return _Gated.apply(both, activation)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor, activation: Activation) -> Tensor:
        layout = _layout(both)
        # A copy each, whatever the layout: they are changed in place.
        a, b = (torch.empty_like(half, memory_format=layout) for half in both.chunk(2, dim=1))
        for half, whole in zip(both.chunk(2, dim=1), (a, b), strict=True):
            _copy(half, whole)
        act, gate = (F.elu_(a) if activation == "elu" else F.relu_(a)), b.sigmoid_()
        ctx.save_for_backward(act, gate)
        ctx.activation = activation
        return act * gate

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        act, gate = ctx.saved_tensors
        # All derivatives follow from the factors' values.
        of_gate = torch.ops.aten.sigmoid_backward(gradient * act, gate)
        through = gradient * gate
        if ctx.activation == "elu":
            of_act = torch.ops.aten.elu_backward(through, 1, 1, 1, True, act)
        else:
            of_act = torch.ops.aten.threshold_backward(through, act, 0)
        batch, channels, *size = act.shape
        whole = torch.empty(
            (batch, 2 * channels, *size),
            dtype=act.dtype,
            device=act.device,
            memory_format=_layout(act),
        )
        for part, half in zip((of_act, of_gate), whole.chunk(2, dim=1), strict=True):
            _copy(part, half)
        return whole, None


def _copy(source: Tensor, target: Tensor) -> None:
    """Copy channels that lie behind each other: all of a place as one number, where there is such.

    Between halves of 16 channels and wholes of 8, in bfloat16, that is five times as quick.
    """
    wide = _WIDE.get(source.shape[1] * source.element_size())
    if wide is None or torch.compiler.is_compiling() or not (_apart(source) and _apart(target)):
        target.copy_(source)
    else:
        target.movedim(1, 3).view(wide).copy_(source.movedim(1, 3).view(wide))


def _apart(x: Tensor) -> bool:
    """Whether channels lie behind each other, and places whole numbers of them apart."""
    places = (x.stride(0), x.stride(2), x.stride(3), x.storage_offset())
    return x.stride(1) == 1 and all(step % x.shape[1] == 0 for step in places)


_WIDE = {4: torch.int32, 8: torch.int64, 16: torch.complex128}


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
