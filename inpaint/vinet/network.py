"""VINet: fill frames one after another, each from its neighbours and from the one filled before.

Shapes: `B N C H W`, N consecutive frames; `B N K C H W`, the K neighbours of each. `hidden` is 1
where the network may not see.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.vinet.alignment import Alignment, FlowNetwork, follow, share_of
from inpaint.vinet.layers import ConvLSTM, Decoder, Encoder, Memory, bottleneck
from inpaint.vinet.warping import enlarged, warped

OFFSETS = (-6, -3, 3, 6)
"""Where a frame's neighbours are, in frames: two on either side, at a stride of three."""


@dataclass(frozen=True)
class Capacity:
    """How large a network is, and the largest picture it is meant for.

    Attributes:
        width: factor to the paper's channels.
        stride: of the first layer; 2 makes everything between input and output half as large.
        working_px: area of the largest working size, in pixels; bigger sources are scaled to it.
    """

    width: float
    stride: int
    working_px: int


CAPACITIES = {
    "small": Capacity(width=0.25, stride=1, working_px=256 * 144),
    # The authors' two.
    "base": Capacity(width=1.0, stride=1, working_px=256 * 256),
    "large": Capacity(width=1.0, stride=2, working_px=512 * 512),
}


@dataclass(frozen=True)
class State:
    """What is carried from frame to frame, without gradient.

    Attributes:
        previous: `(B, C, H, W)` in [-1, 1], the frame filled before.
        memory: of the LSTM.
    """

    previous: Tensor
    memory: Memory


@dataclass(frozen=True)
class Filled:
    """What comes out.

    Attributes:
        pictures: `(B, N, C, H, W)` float32, about in [-1, 1].
        flows: from each frame to the one before, `(B, 2, H, W)` in pixels; None where there is no
            frame before. N of them.
        aligned: the flows by which each frame's references were aligned, `(B, R, 2, H, W)` in
            pixels, coarsest scale first; N lists, in training only.
        state: for the next frame.
    """

    pictures: Tensor
    flows: list[Tensor | None]
    aligned: list[list[Tensor]]
    state: State


def build(capacity: Capacity, channels: int = 3, seed: int = 0) -> VINet:
    """Make a network with weights drawn from `seed`, whatever was drawn before.

    Its weights lie channels last: on a CPU it fills 10 to 20 % more frames a second so.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VINet(capacity, channels)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def neighbours(t: int, count: int) -> list[int]:
    """Return which frames of a clip of `count` frame `t` is filled from, mirrored at its ends.

    Source: the reference code, which needs clips of at least 7 frames; shorter ones are mirrored
    again and again.
    """
    period = max(1, 2 * (count - 1))
    places = [(t + offset) % period for offset in OFFSETS]
    return [min(place, period - place) for place in places]


class VINet(nn.Module):
    """Two encoders, alignment at three scales, a memory, a decoder, a blend with the last result.

    Source: Kim et al., Deep Video Inpainting, 2019, section 3, and the authors' code for layouts;
    with width 1 and 3 channels it has that code's 14,115,364 parameters. Where paper and code
    differ, it is the paper's: the code's demonstration forgets the memory after every frame. Ours:
    both encoders begin with the same weights, so that what is alike looks alike from the start.
    """

    def __init__(self, capacity: Capacity, channels: int = 3) -> None:
        super().__init__()
        width, stride, references = capacity.width, capacity.stride, len(OFFSETS) + 1
        widths = tuple(round(width * count) for count in (32, 64, 96, 128))
        self.channels, self.stride, self.grid_px = channels, stride, 8 * stride
        self.target = Encoder(channels + 2, widths, stride)
        self.reference = deepcopy(self.target)
        self.align = nn.ModuleList(
            Alignment(count, references, width, refines=refines)
            for count, refines in zip(widths[:0:-1], (False, True, True), strict=True)
        )
        self.bottleneck = bottleneck(2 * widths[3], widths[3])
        self.memory = ConvLSTM(widths[3])
        self.decoder = Decoder(widths, channels, stride)
        self.flow_before = FlowNetwork(widths[0], width, refines=True)
        self.share_before = share_of(widths[0])

    def forward(
        self,
        pictures: Tensor,
        hidden: Tensor,
        near: Tensor,
        near_hidden: Tensor,
        state: State | None = None,
    ) -> Filled:
        """Fill N consecutive frames, each with the one before; the gradient stays within a frame.

        Args:
            pictures: `(B, N, C, H, W)` in [-1, 1], any size; what is hidden is not looked at.
            hidden: `(B, N, 1, H, W)` bool.
            near: `(B, N, K, C, H, W)`, the neighbours of each frame, see `OFFSETS`.
            near_hidden: `(B, N, K, 1, H, W)` bool.
            state: what came out with the frame before; None at a clip's beginning.
        """
        filled, flows, aligned = [], [], []
        for n in range(pictures.shape[1]):
            own = _shown(pictures[:, n], hidden[:, n], self.grid_px)
            others = _shown(near[:, n], near_hidden[:, n], self.grid_px)
            picture, flow, used, state = self._fill(own, others, state, pictures.shape[-2:])
            filled.append(picture)
            flows.append(flow)
            aligned.append(used)
        assert state is not None
        return Filled(torch.stack(filled, dim=1), flows, aligned, state)

    def _fill(
        self, own: Tensor, near: Tensor, state: State | None, size: torch.Size
    ) -> tuple[Tensor, Tensor | None, list[Tensor], State]:
        """Fill a frame `(B, C + 2, H, W)` from its neighbours `(B, K, C + 2, H, W)`."""
        # The last reference is what was filled before; at the beginning, the frame itself.
        before = own if state is None else _whole(state.previous, self.grid_px)
        references = torch.cat([near, before[:, None]], dim=1)
        features, others = self.target(own), self.reference(references.flatten(0, 1))
        # Align and merge, from the coarsest scale on.
        merged, used, flows = [], [], None
        for scale, align in zip((3, 2, 1), self.align, strict=True):
            together, flows = align(features[scale], others[scale], flows)
            merged.append(together)
            if self.training:
                whole = _cropped(enlarged(flows, self.stride * 2**scale), size)
                used.append(whole.unflatten(0, references.shape[:2]))
        # Understand, remember, and paint.
        understood = self.bottleneck(torch.cat([features[3], merged[0]], dim=1))
        memory = self.memory(understood, None if state is None else state.memory)
        picture = _cropped(self.decoder(memory.hidden, merged[2], merged[1]).float(), size)
        # Keep of the picture before what goes on.
        flow = None
        if state is not None:
            assert flows is not None
            last = [x.unflatten(0, references.shape[:2])[:, -1] for x in (others[0], flows)]
            flow, share = (_cropped(x, size) for x in self._before(features[0], *last))
            carried = warped(state.previous, flow, "border")
            picture = picture + share * (carried - picture)
        memory = Memory(*(part.detach() for part in memory))
        return picture, flow, used, State(picture.detach().clamp(-1, 1), memory)

    def _before(self, own: Tensor, other: Tensor, coarser: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow to the frame before, and how much of it goes on, at the picture's size.

        Deviation: with a stride of 2 the reference code throws the finest flow away.
        """
        flow = follow(self.flow_before, own, other, coarser)
        share = self.share_before((own - warped(other, flow)).abs()).float()
        return enlarged(flow, self.stride), F.interpolate(share, scale_factor=self.stride)


def _shown(picture: Tensor, hidden: Tensor, grid_px: int) -> Tensor:
    """What is seen, ones, and where nothing is: `(…, C, H, W) → (…, C + 2, H', W')`.

    Grown right and bottom to the grid by zeros, which is how a convolution sees the outside.
    """
    shown = picture.masked_fill(hidden, 0)
    mask = hidden.to(picture.dtype)
    return _grown(torch.cat([shown, torch.ones_like(mask), mask], dim=-3), grid_px)


def _whole(picture: Tensor, grid_px: int) -> Tensor:
    return _shown(picture, torch.zeros_like(picture[:, :1], dtype=torch.bool), grid_px)


def _grown(x: Tensor, grid_px: int) -> Tensor:
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % grid_px, 0, -height % grid_px))


def _cropped(x: Tensor, size: torch.Size) -> Tensor:
    return x[..., : size[0], : size[1]]
