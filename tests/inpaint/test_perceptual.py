from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inpaint.perceptual import HEADS, TRUNK, Lpips, Weights, find_weights

CONVOLUTIONS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3)}
CONVOLUTIONS[10] = (256, 256, 3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Random weights in files laid out like the real ones."""
    folder, random = tmp_path_factory.mktemp("weights"), torch.Generator().manual_seed(0)
    trunk, heads = {}, {}
    for index, (out, into, side) in CONVOLUTIONS.items():
        size = (out, into, side, side)
        trunk[f"features.{index}.weight"] = torch.randn(size, generator=random) / side / into**0.5
        trunk[f"features.{index}.bias"] = torch.randn(out, generator=random) / 10
    for index, (out, _, _) in enumerate(CONVOLUTIONS.values()):
        heads[f"lin{index}.model.1.weight"] = torch.rand((1, out, 1, 1), generator=random)
    torch.save(trunk, folder / TRUNK)
    torch.save(heads, folder / HEADS)
    return Weights(folder / TRUNK, folder / HEADS)


def pictures(seed: int, channels: int = 3, height: int = 40, width: int = 67) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand((2, channels, height, width), generator=random)


def slow_convolution(x: np.ndarray, weight: Tensor, bias: Tensor, stride: int) -> np.ndarray:
    """ReLU of a convolution `(C, H, W) → (O, h, w)`, a pixel at a time."""
    side = weight.shape[-1]
    x = np.pad(x, ((0, 0), *[(side // 2 if stride == 1 else 2,) * 2] * 2))
    height, width = ((length - side) // stride + 1 for length in x.shape[1:])
    out = np.empty((len(weight), height, width))
    for i, j in np.ndindex(height, width):
        patch = x[:, i * stride : i * stride + side, j * stride : j * stride + side]
        out[:, i, j] = (weight.double().numpy() * patch).sum(axis=(1, 2, 3)) + bias.numpy()
    return out.clip(0)


def slow_pooling(x: np.ndarray) -> np.ndarray:
    height, width = ((length - 3) // 2 + 1 for length in x.shape[1:])
    out = np.empty((len(x), height, width))
    for i, j in np.ndindex(height, width):
        out[:, i, j] = x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2))
    return out


def slow_distance(a: np.ndarray, b: np.ndarray, weights: Weights) -> float:
    """LPIPS of two pictures `(3, H, W)` as its definition reads."""
    trunk, heads = torch.load(weights.trunk), torch.load(weights.heads)
    shift = np.array([-0.030, -0.088, -0.188])[:, None, None]
    scale = np.array([0.458, 0.448, 0.450])[:, None, None]
    pair, total = [(p * 2 - 1 - shift) / scale for p in (a, b)], 0.0
    for number, index in enumerate(CONVOLUTIONS):
        if number in (1, 2):
            pair = [slow_pooling(x) for x in pair]
        weight, bias = (trunk[f"features.{index}.{kind}"] for kind in ("weight", "bias"))
        pair = [slow_convolution(x, weight, bias, 1 if number else 4) for x in pair]
        unit = [x / (np.sqrt((x**2).sum(axis=0)) + 1e-10) for x in pair]
        head = heads[f"lin{number}.model.1.weight"].double().numpy()[0]
        total += float(((unit[0] - unit[1]) ** 2 * head).sum(axis=0).mean())
    return total


def test_the_distance_agrees_with_its_definition(weights: Weights) -> None:
    a, b = pictures(0), pictures(1)
    fast = Lpips(weights)(a, b)
    slow = [slow_distance(*pair, weights) for pair in zip(a.numpy(), b.numpy(), strict=True)]
    assert fast.tolist() == pytest.approx(slow, rel=1e-4)


def test_equal_pictures_have_no_distance_and_others_the_same_both_ways(weights: Weights) -> None:
    distance, a, b = Lpips(weights), pictures(0), pictures(1)
    assert distance(a, a).tolist() == [0, 0]
    assert torch.equal(distance(a, b), distance(b, a))
    assert (distance(a, b) > 0).all()


def test_a_larger_difference_is_a_larger_distance(weights: Weights) -> None:
    distance, a, b = Lpips(weights), pictures(0), pictures(1)
    assert (distance(a, a.lerp(b, 0.1)) < distance(a, a.lerp(b, 0.5))).all()


def test_grey_is_taken_as_rgb(weights: Weights) -> None:
    distance, a, b = Lpips(weights), pictures(0, channels=1), pictures(1, channels=1)
    assert torch.equal(distance(a, b), distance(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1)))


def test_a_picture_of_31_px_is_large_enough_and_wrong_shapes_are_refused(weights: Weights) -> None:
    distance, smallest = Lpips(weights), pictures(0, height=31, width=31)
    assert distance(smallest, smallest).tolist() == [0, 0]
    for a, b in ((smallest, pictures(0)), (pictures(0, 2),) * 2, (pictures(0, 3, 30),) * 2):
        with pytest.raises(ValueError, match="grey or RGB and 31 px"):
            distance(a, b)


def test_absent_weights_are_named_and_given_ones_found(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    assert find_weights(weights.trunk, weights.heads) == (weights, "")
    found, reason = find_weights(heads=weights.heads)
    assert found is None
    assert reason == f"LPIPS: no weights ({TRUNK} not in {tmp_path / 'checkpoints'})"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / TRUNK).write_bytes(weights.trunk.read_bytes())
    assert find_weights(heads=weights.heads)[1] == ""


def test_a_file_of_other_weights_is_refused(weights: Weights) -> None:
    with pytest.raises(ValueError, match=r"features\.0\.weight of shape \(64, 3, 11, 11\) wanted"):
        Lpips(Weights(weights.heads, weights.heads))
