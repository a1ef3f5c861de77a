"""LPIPS: how different two pictures look, by the features of a network trained on photographs.

    weights, reason = find_weights()
    if weights is None:
        print(reason)
    else:
        distance = Lpips(weights)(ours, truth)

AlexNet, version 0.1. The weights are not ours to ship: they are found on disk or not used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUNK, HEADS = "alexnet-owt-7be5be79.pth", "alex.pth"
SMALLEST_PX = 31
"""What AlexNet's two poolings leave a pixel of."""


@dataclass(frozen=True)
class Weights:
    """Files of weights.

    Attributes:
        trunk: state dict of torchvision's AlexNet, `alexnet-owt-7be5be79.pth`.
        heads: state dict of the `lpips` package, `weights/v0.1/alex.pth`.
    """

    trunk: Path
    heads: Path


def find_weights(
    trunk: Path | None = None, heads: Path | None = None
) -> tuple[Weights | None, str]:
    """Look for the weights: at the paths given, else in the torch hub cache.

    The heads are also taken from the `lpips` package where it is installed; it is not imported.

    Returns:
        The files and an empty reason, or None and why LPIPS cannot be told, for below a table.
    """
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    places = {
        TRUNK: [trunk] if trunk else [cache / TRUNK],
        HEADS: [heads] if heads else [cache / HEADS, *_installed_heads()],
    }
    found = {name: next((p for p in paths if p.is_file()), None) for name, paths in places.items()}
    if (at := found[TRUNK]) and (above := found[HEADS]):
        return Weights(at, above), ""
    missing = [f"{name} not in {places[name][0].parent}" for name in places if not found[name]]
    return None, f"LPIPS: no weights ({', '.join(missing)})"


class Lpips(nn.Module):
    """Learnt perceptual distance of pictures.

    Both pass through AlexNet; where its five ReLUs end, features are brought to unit length, and
    their squared differences are weighted by a learnt head and averaged over the picture.

    Args:
        weights: as found by `find_weights`.

    Raises:
        ValueError: a file holds other weights.

    Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
    2018, eq. 1; version 0.1 of the authors' code, which scales the input.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        layers = [
            nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
        self.layers = nn.ModuleList(layers)
        self.heads = nn.ParameterList(torch.empty(1, c, 1, 1) for c in (64, 192, 384, 256, 256))
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])
        self._load(weights)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Tell how different pictures look.

        Args:
            a: `(N, C, H, W)` in [0, 1], C 1 or 3, at least 31 px on a side.
            b: the same.

        Returns:
            `(N,)` float32, 0 where they are equal.
        """
        if a.shape != b.shape or a.shape[1] not in (1, 3) or min(a.shape[2:]) < SMALLEST_PX:
            raise ValueError(
                f"two pictures of one shape, grey or RGB and {SMALLEST_PX} px or more on a side, "
                f"not {tuple(a.shape)} and {tuple(b.shape)}"
            )
        x, y = self._scaled(a), self._scaled(b)
        distance = x.new_zeros(len(x))
        for layer, head in zip(self.layers, self.heads, strict=True):
            x, y = layer(x), layer(y)
            difference = (F.normalize(x, eps=1e-10) - F.normalize(y, eps=1e-10)).square()
            distance += (difference * head).sum(dim=1).mean(dim=(1, 2))
        return distance

    def _scaled(self, pictures: Tensor) -> Tensor:
        rgb = pictures.float().expand(-1, 3, -1, -1)
        return (rgb * 2 - 1 - self.shift) / self.scale

    def _load(self, weights: Weights) -> None:
        convolutions = [m for m in self.layers.modules() if isinstance(m, nn.Conv2d)]
        trunk, heads = (
            torch.load(file, map_location="cpu", weights_only=True)
            for file in (weights.trunk, weights.heads)
        )
        for index, convolution in zip((0, 3, 6, 8, 10), convolutions, strict=True):
            _copy(trunk, f"features.{index}.weight", convolution.weight, weights.trunk)
            _copy(trunk, f"features.{index}.bias", convolution.bias, weights.trunk)
        for index, head in enumerate(self.heads):
            _copy(heads, f"lin{index}.model.1.weight", head, weights.heads)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], key: str, target: Tensor | None, file: Path) -> None:
    assert target is not None
    found = source.get(key)
    if found is None or found.shape != target.shape:
        came = "nothing" if found is None else str(tuple(found.shape))
        raise ValueError(f"{file}: {key} of shape {tuple(target.shape)} wanted, {came} found")
    target.copy_(found)


def _installed_heads() -> list[Path]:
    package = importlib.util.find_spec("lpips")
    folders = (package.submodule_search_locations if package else None) or []
    return [Path(folder) / "weights" / "v0.1" / HEADS for folder in folders]
