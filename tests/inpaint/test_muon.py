"""Muon: orthogonal steps, Adam's for the rest, and nothing lost between two of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from inpaint_fakes import COARSE, CPU, clip, fitted

from inpaint.checkpoint import dump, restore
from inpaint.internal import fit
from inpaint.learning import Optimizer, begin
from inpaint.muon import Muon, orthogonal
from inpaint.network import build
from inpaint.recipes import FitConfig
from inpaint.vinet import network as vinet

CONFIG = FitConfig(steps=4, batch=2, optimizer="muon", learning_rate=2e-2, report_every=1)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2, 8, 30), (2, 30, 8), (1, 12, 12)])
def test_a_step_stretches_no_direction_more_than_another(shape: tuple[int, int, int]) -> None:
    moves = orthogonal(noise(*shape) * 1e-4)
    values = torch.linalg.svdvals(moves)
    assert moves.shape == shape
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_direction_that_hardly_counts_is_stretched_and_nothing_else_comes_of_it() -> None:
    left, _, right = torch.linalg.svd(noise(1, 64, 288), full_matrices=False)
    strengths = torch.logspace(0, -7, 64)
    moves = orthogonal(left * strengths @ right)
    turned = left.mT @ moves @ right.mT
    stretched = torch.diagonal(turned, dim1=1, dim2=2)
    assert stretched[0, :16].min() > 0.6
    assert stretched.max() < 1.3
    assert (turned - torch.diag_embed(stretched)).abs().max() < 0.01


def test_a_step_does_not_depend_on_the_size_of_the_gradient() -> None:
    ends = {}
    for size in (1e3, 1.0, 1e-3):
        network = build(COARSE)
        optimizer = Muon(network, lr=0.02)
        for parameter in network.parameters():
            parameter.grad = size * noise(*parameter.shape)
        optimizer.step()
        ends[size] = [group["params"] for group in optimizer.param_groups]
    for size in (1e3, 1e-3):
        for one, other in zip(ends[size][0], ends[1.0][0], strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    for one, other in zip(ends[1e3][1], ends[1.0][1], strict=True):  # Adam's, with its epsilon
        assert torch.allclose(one, other, atol=1e-5)


def test_the_heads_and_what_is_as_narrow_are_left_to_adam_and_no_other_convolution() -> None:
    network = vinet.build(vinet.CAPACITIES["small"])
    groups = [group["params"] for group in Muon(network, lr=0.02).param_groups]
    moved = {id(weight) for weight in groups[0]}
    heads = [
        m.out_channels
        for m in network.modules()
        if isinstance(m, torch.nn.Conv2d) and id(m.weight) not in moved
    ]
    # Shares and flows of three alignments and of the frame before, the picture, and the finest
    # share's hidden two.
    assert sorted(heads) == [1] * 4 + [2] * 8 + [3] + [4] * 2
    assert len(groups[0]) + len(groups[1]) == len(list(network.parameters()))


def test_a_convolution_moves_as_it_would_alone() -> None:
    # Of eight rows: 27, 18 and 1000 columns, and fewer columns than rows.
    kernels = [(3, 8, 3), (2, 8, 3), (40, 8, 5), (5, 8, 1), (4, 8, 1), (2, 16, 3)]
    together = torch.nn.ModuleList(torch.nn.Conv2d(*kernel) for kernel in kernels)
    alone = [Muon(layer, lr=0.02) for layer in copy.deepcopy(together)]
    for parameter in together.parameters():
        parameter.grad = noise(*parameter.shape)
    Muon(together, lr=0.02).step()
    for layer, single in zip(together, alone, strict=True):
        for group in single.param_groups:
            for parameter in group["params"]:
                parameter.grad = noise(*parameter.shape)
        single.step()
        assert torch.allclose(layer.weight, single.param_groups[0]["params"][0], atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_the_loss_s_own_though_it_is_scaled_for_half_precision(scaled: bool) -> None:
    layer = torch.nn.Conv2d(3, 8, 3)
    optimizer = Muon(layer, lr=0.02)
    before = layer.bias.detach().clone()
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    scaler.scale(1e-8 * layer(noise(1, 3, 9, 9)).sum()).backward()
    scaler.step(optimizer)
    # 49 places: a gradient of 4.9e-7, where Adam's epsilon of 1e-8 takes two parts of a hundred.
    assert (before - layer.bias.detach()).tolist() == pytest.approx([0.98 * 0.02] * 8, rel=1e-3)
    assert float(optimizer.state[layer.weight]["exp_avg"].abs().max()) < 1e-7


def test_what_it_turns_shrinks_at_every_step_and_nothing_else() -> None:
    network = build(COARSE)
    held = copy.deepcopy(network)
    for parameter, same in zip(network.parameters(), held.parameters(), strict=True):
        parameter.grad, same.grad = noise(*parameter.shape), noise(*parameter.shape)
    optimizer, plain = Muon(network, lr=0.02, weight_decay=0.5), Muon(held, lr=0.02)
    before = [weight.detach().clone() for weight in optimizer.param_groups[0]["params"]]
    for one in (optimizer, plain):
        one.step()
    (turned, rest), (kept, others) = (
        [group["params"] for group in one.param_groups] for one in (optimizer, plain)
    )
    for weight, other, was in zip(turned, kept, before, strict=True):
        assert torch.allclose(weight, other - 0.02 * 0.5 * was, atol=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(rest, others, strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_fit_decays_as_its_schedule_says(optimizer: Optimizer) -> None:
    network = torch.nn.Conv2d(3, 8, 3)
    config = replace(CONFIG, optimizer=optimizer, weight_decay=0.5)
    state = begin(network, config, CPU)
    before = network.weight.detach().clone()
    state.descend(0 * network(noise(1, 3, 9, 9)).sum(), rate=0.02)
    assert torch.allclose(network.weight.detach(), before * (1 - 0.02 * 0.5), atol=1e-7)


def test_weights_never_outgrow_the_inverse_of_their_decay() -> None:
    layer = torch.nn.Conv2d(8, 8, 1)
    optimizer, gradient = Muon(layer, lr=0.5, weight_decay=0.5), noise(*layer.weight.shape)
    for _ in range(60):
        layer.weight.grad = gradient.clone()
        optimizer.step()
    values = torch.linalg.svdvals(layer.weight.detach()[..., 0, 0])
    assert 1 < float(values.max()) < 1.3 / 0.5


def test_every_parameter_is_learnt() -> None:
    network = build(COARSE)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in fit(network, clip(), CONFIG, begin(network, CONFIG, CPU)):
        pass
    assert not any(
        torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True)
    )


def test_a_parameter_without_a_gradient_stays() -> None:
    network = build(COARSE)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    Muon(network, lr=0.02).step()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_a_fit_goes_on_from_its_checkpoint_byte_for_byte() -> None:
    network = build(COARSE)
    state = begin(network, CONFIG, CPU)
    for report in fit(network, clip(), CONFIG, state):
        if report.step == 2:
            break
    saved = dump(network, state)
    network = build(COARSE, seed=1)
    state = begin(network, CONFIG, CPU)
    restore(saved, network, state)
    for _ in fit(network, clip(), CONFIG, state):
        pass
    assert dump(network, state) == fitted(clip(), CONFIG)[0]
