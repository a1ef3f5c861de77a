"""Muon: steps along orthogonalised momentum. Learns in a fraction of Adam's steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ADAM_SHARE = 0.1
SMALL = 1 << 14  # numbers: matrices of fewer are taken together whatever their shapes

HEAD_CHANNELS = 4
"""Pictures, flows and shares have no more; a hidden convolution as narrow counts as one of them."""


class Muon(torch.optim.AdamW):
    """Move every hidden convolution by the orthogonal matrix nearest to its momentum.

    No direction is starved then, however small its gradient, and the length of a step follows from
    the learning rate alone. A convolution is the matrix `(outputs, inputs · height · width)`.
    Biases and the heads, whose outputs are what is asked for, are Adam's, at a tenth of the rate.
    Steps of one length would let the weights grow without end; decay holds their singular values
    below its inverse.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; its decay:
    Liu et al., Muon is Scalable for LLM Training, 2025. `torch` has it for plain matrices only.

    Args:
        network: whose parameters are learnt.
        lr: learning rate; a group's `share` of it is what the group learns at.
        weight_decay: the hidden convolutions shrink by the rate times this at every step.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float = 0.0) -> None:
        convolutions = (m for m in network.modules() if isinstance(m, nn.Conv2d))
        hidden = [m.weight for m in convolutions if m.out_channels > HEAD_CHANNELS]
        own = {id(weight) for weight in hidden}
        rest = [p for p in network.parameters() if id(p) not in own]
        super().__init__(
            [
                {"params": hidden, "share": 1.0, "weight_decay": weight_decay},
                {"params": rest, "share": ADAM_SHARE},
            ],
            lr,
            weight_decay=0,
            fused=True,
        )
        # Fused Adam would scale back its own gradients only; all are needed so.
        self._step_supports_amp_scaling = False
        self._groups: list[list[Tensor]] = []
        for weight in sorted(hidden, key=lambda w: (len(w), w[0].numel()), reverse=True):
            if not self._groups or not _belongs(weight, self._groups[-1]):
                self._groups.append([])
            self._groups[-1].append(weight)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step. The gradients of the convolutions are None afterwards."""
        rate, decay = (self.param_groups[0][name] for name in ("lr", "weight_decay"))
        for weights in self._groups:
            same = [weight for weight in weights if weight.grad is not None]
            if not same:
                continue
            if decay:
                torch._foreach_mul_(same, 1 - rate * decay)
            # Columns in the order of channels-last memory; to the result it is all one.
            ahead = [move.movedim(1, 3) for move in self._ahead(same)]
            moves = _orthogonal([move.reshape(len(move), -1) for move in ahead])
            for weight, move, like in zip(same, moves, ahead, strict=True):
                turned = move.reshape(like.shape).movedim(3, 1)
                weight.add_(turned, alpha=-rate * max(1, len(move) / move.shape[1]) ** 0.5)
                weight.grad = None  # so that Adam passes it over
        super().step()

    def _ahead(self, weights: list[Tensor]) -> list[Tensor]:
        """Nesterov's momentum: the mean of the gradients, and one more of the last."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means = []
        for weight in weights:
            state = self.state[weight]
            if not state:  # named as Adam names its own
                state["step"] = torch.zeros((), device=weight.device)
                state["exp_avg"] = torch.zeros_like(weight)
            means.append(state["exp_avg"])
        torch._foreach_lerp_(means, gradients, 1 - MOMENTUM)
        return list(torch._foreach_lerp(gradients, means, MOMENTUM))


def _belongs(weight: Tensor, group: list[Tensor]) -> bool:
    """Whether a matrix is worth being taken together with others, none of which has fewer rows.

    As many rows and half of the columns at least; or all of them small, whose products take less
    time than the calls for them.
    """
    rows, columns = len(group[0]), max(one[0].numel() for one in group)
    own = weight[0].numel()
    small = rows * max(columns, own) <= SMALL
    return small or (len(weight) == rows and 2 * own >= columns)


def _orthogonal(matrices: list[Tensor]) -> list[Tensor]:
    """Return `orthogonal` of each: rows and columns of zeros behind them change nothing."""
    sizes = [matrix.shape for matrix in matrices]
    largest = [max(lengths) for lengths in zip(*sizes, strict=True)]
    padded = matrices[0].new_zeros(len(matrices), *largest)
    parts = [one[:m, :n] for one, (m, n) in zip(padded, sizes, strict=True)]
    torch._foreach_copy_(parts, matrices)
    turned = zip(orthogonal(padded), sizes, strict=True)
    return [one[:m, :n] for one, (m, n) in turned]


def orthogonal(matrices: Tensor) -> Tensor:
    """Return about the nearest matrices whose singular values are all 1: `(N, R, C) → (N, R, C)`.

    By Newton and Schulz's iteration `X ← (a + b XXᵀ + c (XXᵀ)²) X`, with a polynomial that is quick
    rather than exact: it leaves them between 0.7 and 1.2. The factors to the left commute, so that
    they are multiplied up by themselves and X comes last: all but two products are of `R × R`. In
    the precision of the input, which has to hold squares of singular values: float32 or wider.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    square = x.bmm(x.mT)
    turn = factor = _polynomial(square)
    for _ in range(ITERATIONS - 1):
        square = factor.bmm(square).bmm(factor)
        factor = _polynomial(square)
        turn = factor.bmm(turn)
    x = turn.bmm(x)
    return x.mT if tall else x


def _polynomial(square: Tensor) -> Tensor:
    """`a + b S + c S²`."""
    a, b, c = COEFFICIENTS
    value = torch.baddbmm(square, square, square, beta=b, alpha=c)
    value.diagonal(dim1=1, dim2=2).add_(a)
    return value
