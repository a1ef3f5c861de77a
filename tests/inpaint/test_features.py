"""Feature extractors: what they give, where the gradient goes, and bad weight files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inpaint_fakes import COARSE
from torch import Tensor

from inpaint.features import internal, vgg19
from inpaint.network import build


def picture(channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand((2, channels, height, width), generator=random) * 2 - 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with torchvision's names, one layer behind `relu4_2` among them."""
    shapes = [(0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256)]
    shapes += [(12, 256, 256), (14, 256, 256), (16, 256, 256), (19, 256, 512), (21, 512, 512)]
    random = torch.Generator().manual_seed(0)
    saved = {"features.23.weight": torch.zeros(1)}
    for number, inputs, outputs in shapes:
        scale = (2 / (9 * inputs)) ** 0.5
        kernel = torch.randn((outputs, inputs, 3, 3), generator=random) * scale
        saved[f"features.{number}.weight"] = kernel
        saved[f"features.{number}.bias"] = torch.full((outputs,), 0.1)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(saved, path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_internal_features_are_the_first_layers_with_nothing_hidden(channels: int) -> None:
    network = build(COARSE, channels)
    features, shown = internal(network), picture(channels)
    inputs = torch.cat([shown, torch.zeros_like(shown[:, :1])], dim=1)
    seen = network.coarse[0](inputs)
    assert features.stride == 4
    assert features(shown).shape == (2, 64, 4, 6)
    assert torch.equal(features(shown)[:, 5], seen[:, 0, 1::4, 1::4])


def test_an_internal_prior_is_empty() -> None:
    network = build(COARSE, prior=True)
    assert internal(network)(picture()).shape == (2, 64, 4, 6)


def test_the_gradient_of_internal_features_passes_the_weights_by() -> None:
    network, shown = build(COARSE), picture().requires_grad_()
    internal(network)(shown).square().sum().backward()
    assert shown.grad is not None
    assert (shown.grad != 0).any(dim=1).all()
    assert all(weight.grad is None for weight in network.parameters())


def test_internal_features_follow_the_network_as_it_learns() -> None:
    network = build(COARSE)
    features = internal(network)
    before = features(picture())
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.5)
    assert not torch.allclose(features(picture()), before)


def test_vgg_features_from_a_state_dict(weights: Path) -> None:
    features, shown = vgg19(weights), picture().requires_grad_()
    result = features(shown)
    result.sum().backward()
    assert features.stride == 8
    assert result.shape == (2, 512, 2, 3)
    assert (result >= 0).all()
    assert shown.grad is not None
    assert shown.grad.abs().sum() > 0


def test_vgg_sees_grey_as_three_equal_channels(weights: Path) -> None:
    features, grey = vgg19(weights), picture(1)
    assert torch.equal(features(grey), features(grey.repeat(1, 3, 1, 1)))


def test_vgg_weights_come_from_the_cache_of_torch_hub(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"checkpoints.vgg19-dcbb9e9d\.pth: fetch https"):
        vgg19()
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "vgg19-dcbb9e9d.pth").symlink_to(weights)
    assert torch.equal(vgg19()(picture()), vgg19(weights)(picture()))


def test_an_absent_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: fetch https.*`internal`"):
        vgg19(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"features.0.weight": torch.zeros(8, 3, 3, 3)}, r"features\.0\.weight is \(8, 3, 3, 3\)"),
        ({"other": torch.zeros(1)}, r"features\.0\.weight is missing, not \(64, 3, 3, 3\)"),
        (torch.zeros(1), "but a Tensor"),
    ],
)
def test_a_file_of_something_else_is_refused(
    content: object, complaint: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"other\.pth.*{complaint}"):
        vgg19(tmp_path / "other.pth")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"cut\.pth cannot be read"):
        vgg19(tmp_path / "cut.pth")
