"""Gated convolution: its formula, its sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from inpaint.gated import Activation, GatedConv, GatedUp, gated


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_second_half_of_the_channels_gates_the_first() -> None:
    layer, x = GatedConv(3, 8), noise(2, 3, 7, 9)
    plain = F.conv2d(x, layer.conv.weight, layer.conv.bias, padding=1)
    expected = F.elu(plain[:, :4]) * torch.sigmoid(plain[:, 4:])
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_another_activation_takes_the_place_of_elu() -> None:
    layer = GatedConv(3, 8, activation="relu")
    assert (layer(noise(2, 3, 7, 9)) >= 0).all()


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 16])
def test_the_size_is_kept(kernel: int, dilation: int) -> None:
    layer = GatedConv(3, 8, kernel, dilation=dilation)
    assert layer(noise(1, 3, 7, 10)).shape == (1, 4, 7, 10)


def test_a_stride_halves_the_size_rounded_up() -> None:
    assert GatedConv(3, 8, stride=2)(noise(1, 3, 7, 10)).shape == (1, 4, 4, 5)


def test_up_repeats_every_pixel_twice_before_it_convolves() -> None:
    layer, x = GatedUp(3, 8).double(), noise(1, 3, 5, 6).double()
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.allclose(layer(x), layer.gated(repeated), atol=1e-14)
    assert layer(x).shape == (1, 4, 10, 12)


@pytest.mark.parametrize("channels", [4, 12, 16, 24, 48])
def test_up_learns_what_repeating_would_in_half_precision_too(channels: int) -> None:
    torch.manual_seed(0)
    layer, x = GatedUp(channels, 2 * channels), noise(2, channels, 9, 14)
    upstream = noise(2, channels, 18, 28)
    repeated = layer.gated(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    exact = torch.autograd.grad(repeated, list(layer.parameters()), upstream)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", torch.bfloat16):
        up = layer(x.to(memory_format=torch.channels_last))
    assert torch.allclose(up.float(), repeated, atol=0.03)
    found = torch.autograd.grad(up, list(layer.parameters()), upstream.bfloat16())
    for one, other in zip(found, exact, strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("activation", ["elu", "relu"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_its_own_gradient_is_that_of_the_formula(
    activation: Activation, layout: torch.memory_format
) -> None:
    both = noise(2, 8, 5, 6).double().to(memory_format=layout).requires_grad_()
    plain = getattr(F, activation)(both[:, :4]) * torch.sigmoid(both[:, 4:])
    upstream = noise(2, 4, 5, 6).double()
    (expected,) = torch.autograd.grad(plain, both, upstream)
    result = gated(both, activation)
    (gradient,) = torch.autograd.grad(result, both, upstream)
    assert torch.allclose(result, plain)
    assert torch.allclose(gradient, expected)
    assert result.is_contiguous(memory_format=layout)
    assert gradient.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 1), (3, 5)])
@pytest.mark.parametrize("channels", [2, 4, 8, 12])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_halves_of_any_width_and_size_are_what_they_were(
    size: tuple[int, int], channels: int, layout: torch.memory_format
) -> None:
    both = noise(2, 2 * channels, *size).bfloat16().to(memory_format=layout).requires_grad_()
    upstream = noise(2, channels, *size).bfloat16()
    (gradient,) = torch.autograd.grad(gated(both), both, upstream)
    exact = both.detach().double().requires_grad_()
    a, b = exact.chunk(2, dim=1)
    (expected,) = torch.autograd.grad(F.elu(a) * torch.sigmoid(b), exact, upstream.double())
    assert torch.allclose(gradient.double(), expected, atol=0.02, rtol=0.02)
