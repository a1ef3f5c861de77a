"""Ways to compute a training step: plainly, with one change, as the project does, and further.

All take the same steps, but for rounding and the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.clip import Clip
from inpaint.gated import GatedConv, GatedUp
from inpaint.holes import centre_rectangle
from inpaint.learning import Optimizer, State, begin
from inpaint.network import CAPACITIES, Network, build
from inpaint.precision import Precision
from inpaint.recipes import FitConfig
from inpaint.step import draw_batch, features_of, step

FRAMES = 8


@dataclass(frozen=True)
class Work:
    """What is learnt: a capacity at a height and width, by a config."""

    name: str
    capacity: str
    size: tuple[int, int]
    config: FitConfig


@dataclass(frozen=True)
class Variant:
    """How a step is computed.

    Attributes:
        fused_gate: `inpaint.gated.gated`, or the same formula by plain autograd.
        transposed: `inpaint.gated.GatedUp` as it is, or pixels repeated and then convolved.
        engine: `compile` has the network compiled; `graph` replays forward and backward as a CUDA
            graph.
    """

    name: str
    optimizer: Optimizer = "adam"
    precision: Precision = "off"
    channels_last: bool = False
    fused_gate: bool = False
    transposed: bool = False
    engine: Literal["eager", "compile", "graph"] = "eager"


def variants(own: Optimizer, device: torch.device) -> list[Variant]:
    """Return the plain step, single changes of it, what the project does, and changes of that."""
    plain, full = Variant("plain"), ours(own)
    other: Optimizer = "adam" if own == "muon" else "muon"
    found = [
        plain,
        replace(plain, name="plain + bf16", precision="bf16"),
        replace(plain, name="plain + channels-last", channels_last=True),
        replace(plain, name="plain + fused gate", fused_gate=True),
        replace(plain, name="plain + transposed enlarging", transposed=True),
        full,
        ours(other),
        replace(full, name="project + compile", engine="compile"),
        replace(full, name="project + compile, unfused gate", engine="compile", fused_gate=False),
    ]
    if device.type == "cuda":
        found.append(replace(full, name="project + CUDA graph", engine="graph"))
    return found


def ours(optimizer: Optimizer) -> Variant:
    """Return the step as the project takes it."""
    return Variant(f"project, {optimizer.capitalize()}", optimizer, "auto", True, True, True)


def stepper(work: Work, variant: Variant, device: torch.device) -> Callable[[], Tensor]:
    """Return what draws a batch and takes a step of a fresh network; it returns the loss."""
    config = replace(work.config, optimizer=variant.optimizer, precision=variant.precision)
    network, clip = build(CAPACITIES[work.capacity]), noise(work.size).to(device)
    state = begin(network, config, device)
    if not variant.channels_last:
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    simplify(network, variant)
    if variant.engine == "graph":
        return _captured(network, clip, config, state)
    features = features_of(network, config, device)
    run = torch.compile(network) if variant.engine == "compile" else network

    def take() -> Tensor:
        batch = draw_batch(clip, clip.hole, config, state.random)
        return step(run, clip, batch, features, config, state, config.learning_rate)  # type: ignore[arg-type]

    return take


def simplify(network: Network, variant: Variant) -> None:
    """Take away what the project's layers have and the variant has not."""
    if not variant.fused_gate:
        _unfuse(network)
    if not variant.transposed:
        _repeat(network)


def noise(size: tuple[int, int]) -> Clip:
    """Return a clip of noise with a centre rectangle for a hole."""
    random = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (FRAMES, 3, *size), generator=random, dtype=torch.uint8)
    hole = centre_rectangle(*size).expand(FRAMES, 1, -1, -1)
    return Clip(frames, hole, hole)


def _unfuse(network: Network) -> None:
    for layer in network.modules():
        if isinstance(layer, GatedConv):
            layer.gate = partial(_unfused, layer)  # type: ignore[method-assign]


def _unfused(layer: GatedConv, both: Tensor) -> Tensor:
    a, b = both.chunk(2, dim=1)
    return (F.elu(a) if layer.activation == "elu" else F.relu(a)) * torch.sigmoid(b)


def _repeat(network: Network) -> None:
    for layer in network.modules():
        if isinstance(layer, GatedUp):
            layer.forward = partial(_repeated, layer)  # type: ignore[method-assign]


def _repeated(layer: GatedUp, x: Tensor) -> Tensor:
    return layer.gated(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class _Gradient(State):
    """Goes no further down the loss than its gradient."""

    def descend(self, loss: Tensor, rate: float) -> Tensor:
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        return loss.detach()


def _captured(
    network: Network, clip: Clip, config: FitConfig, state: State
) -> Callable[[], Tensor]:
    """Return a step whose forward and backward are one CUDA graph."""
    batch = draw_batch(clip, clip.hole, config, torch.Generator(state.device))
    graded = _Gradient(**vars(state))
    take = partial(step, network, clip, batch, None, config, graded, config.learning_rate)
    # What is made on the first steps is not the graph's: let them pass on a stream beside it.
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            take()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = take()
    gradients = [weight.grad for weight in network.parameters()]
    for group in state.optimizer.param_groups:
        group["lr"] = config.learning_rate * group.get("share", 1)

    def replay() -> Tensor:
        drawn = draw_batch(clip, clip.hole, config, state.random)
        for name in ("truth", "unknown", "shifted"):
            getattr(batch, name).copy_(getattr(drawn, name))
        graph.replay()
        for weight, gradient in zip(network.parameters(), gradients, strict=True):
            weight.grad = gradient  # Muon takes them away
        state.optimizer.step()
        return loss

    return replay
