"""What the ambiguity loss compares pictures by: VGG-19, or the fitted network's own first layer.

Shapes: `B C H W` in [-1, 1] in, `B F H/stride W/stride` out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from inpaint.network import Network

SQUARE_PX = 4
"""Side of the squares that the network's own features are compared in."""


@dataclass(frozen=True)
class Features:
    """A frozen extractor: the gradient goes to the picture, never to the weights.

    Attributes:
        extract: `(B, C, H, W)` in [-1, 1] → `(B, F, H / stride, W / stride)`; give it sides that
            are multiples of the stride.
        stride: pixels between neighbouring features.
        even: whether every channel counts alike, however much it varies.
    """

    extract: Callable[[Tensor], Tensor]
    stride: int
    even: bool = False

    def __call__(self, picture: Tensor) -> Tensor:
        return self.extract(picture)


def internal(network: Network) -> Features:
    """Return the first layer of the network's own encoder, nothing hidden: squares of 4 × 4 of it.

    Its weights are those of the moment it is called. They get no gradient: the encoder would learn
    to make everything look alike. A prior, if the network takes one, is empty.

    Source: the shared encoder of IIVI, eq. 3. Deviation: its first layer alone, every channel
    counting alike. With all its layers the same fine detail costs several times the PSNR.
    """
    encoder = network.coarse[0]
    inputs = next(encoder.parameters()).shape[1]

    def extract(picture: Tensor) -> Tensor:
        weights = {name: weight.detach() for name, weight in encoder.named_parameters()}
        unused = (0, 0, 0, 0, 0, inputs - picture.shape[1])
        seen = functional_call(encoder, weights, F.pad(picture, unused))
        return F.pixel_unshuffle(seen, SQUARE_PX)

    return Features(extract, stride=SQUARE_PX, even=True)


def vgg19(weights: Path | None = None, device: torch.device | str = "cpu") -> Features:
    """Return `relu4_2` of VGG-19, from weights on disk: nothing is downloaded.

    Grey pictures are repeated to three channels.

    Args:
        weights: a state dict with torchvision's names, `features.0.weight` and so on; None looks
            into the cache of `torch.hub`.
        device: where the extractor works.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds something else.

    Source: Simonyan and Zisserman, 2015; the layer is that of the IIVI reference code
    (`block4_conv2` there).
    """
    layers = _vgg19_layers()
    _load(layers, weights or _cached())
    layers.to(device).requires_grad_(False)
    mean = torch.tensor(_IMAGENET_MEAN, device=device)[:, None, None]
    deviation = torch.tensor(_IMAGENET_DEVIATION, device=device)[:, None, None]

    def extract(picture: Tensor) -> Tensor:
        coloured = picture.expand(-1, 3, -1, -1)
        return layers(((coloured + 1) / 2 - mean) / deviation)

    return Features(extract, stride=8)


_VGG19_FILE = "vgg19-dcbb9e9d.pth"
_VGG19_URL = f"https://download.pytorch.org/models/{_VGG19_FILE}"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def _vgg19_layers() -> nn.Sequential:
    """Build the layers up to `relu4_2`, numbered as torchvision's are."""
    layers: list[nn.Module] = []
    inputs = 3
    for channels, count in ((64, 2), (128, 2), (256, 4), (512, 2)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


def _cached() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / _VGG19_FILE


def _load(layers: nn.Sequential, path: Path) -> None:
    """Fill the layers from a file; what belongs to later layers stays unread."""
    found = _read(path)
    wanted = layers.state_dict()
    weights = {name: found.get(f"features.{name}") for name in wanted}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or tensor.shape != wanted[name].shape:
            given = tuple(tensor.shape) if isinstance(tensor, Tensor) else "missing"
            raise ValueError(
                f"{path} holds no VGG-19: features.{name} is {given}, "
                f"not {tuple(wanted[name].shape)}; the file of {_VGG19_URL} is meant"
            )
    layers.load_state_dict(weights)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no VGG-19 weights at {path}: fetch {_VGG19_URL} to there, give the path of a copy, "
            "or choose the features `internal`, which need no file"
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read as VGG-19 weights: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no VGG-19 weights but a {type(found).__name__}")
    return found
