"""A step of learning stays on its device and never waits for it: shown on one that is imagined.

Tensors without numbers run through the steps, on a device of a name of its own. What wants a number
on the host, two devices at a time or a copy between them is an error there.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from inpaint_fakes import COARSE, REFINED, clip, frames
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from inpaint import network, propagate, segmentation
from inpaint.learning import Schedule, State
from inpaint.muon import Muon
from inpaint.pasting import known
from inpaint.recipes import RECIPES
from inpaint.step import draw_batch, features_of, step
from inpaint.vinet import network as vinet_network
from inpaint.vinet.holes import HoleRanges, draw
from inpaint.vinet.training import STAGES, chosen, joined, losses, sample

CHANGES: list[dict[str, Any]] = [
    {},
    {"ambiguity": 0.1},
    {"ambiguity": 0.1, "ambiguity_form": "contextual"},
    {"stabilisation": 0.2},
    {"holes": "free_form"},
]


class Numbers(torch.Generator):
    """Says that it lies on the device."""

    device = torch.device("privateuseone", 0)


class Plain:
    """Stands for Accelerate, which knows no such device."""

    def autocast(self) -> nullcontext[None]:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()


class NoCopies(TorchDispatchMode):
    """Refuses copies from device to device."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        if operation._overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            devices = {part.device for part in (result, *args) if isinstance(part, Tensor)}
            if len(devices) > 1:
                raise RuntimeError("a copy from device to device")
        return result


def internal(recipe: str, changes: dict[str, Any], prior: bool = False) -> list[str]:
    config = replace(RECIPES[recipe], batch=2, regularise_share=1.0, **changes)
    material = replace(clip(), prior=clip().frames) if prior else clip()

    def take(learner: network.Network, material: Any, state: State) -> None:
        features = features_of(learner, config, state.device)
        batch = draw_batch(material, material.hole, config, state.random)
        step(learner, material, batch, features, config, state, 1e-3)

    capacity = REFINED if recipe == "paper" else COARSE
    return faults(network.build(capacity, prior=prior), material, config, take)


def propagation(recipe: str) -> list[str]:
    config = replace(propagate.RECIPES[recipe], batch=2)
    small = segmentation.Capacity(widths=(4, 8), working_px=0)

    def take(learner: segmentation.Segmenter, material: Any, state: State) -> None:
        propagate._step(learner, material, config, state, 1e-3)

    return faults(segmentation.build(small), known(clip(), [0, 2]), config, take)


def vinet(stage: str) -> list[str]:
    config, random = STAGES[stage], torch.Generator().manual_seed(0)
    pictures = frames(20, 16, 24).float() / 127.5 - 1
    tiny = vinet_network.Capacity(width=1 / 16, stride=1, working_px=0)
    hole = draw(len(pictures), (16, 24), HoleRanges(("box",)), random)
    places = chosen(7, len(pictures), config, random)
    batch = joined([sample(pictures, torch.zeros_like(hole), hole, places)] * 2)

    def take(learner: nn.Module, batch: Any, state: State) -> None:
        terms = losses(learner, batch, config, state.accelerator)
        state.descend(torch.stack(list(terms.values())).sum(), 1e-3)

    return faults(vinet_network.build(tiny, 3), batch, Schedule(2, 2, 1e-3), take)


def broken(how: str) -> list[str]:
    def take(learner: nn.Module, material: Any, state: State) -> None:
        match how:
            case "waits":
                float(material.frames.sum())
            case "mixes":
                material.frames + torch.ones(24)
            case "copies":
                torch.ones(24).to(state.device)

    return faults(network.build(COARSE), clip(), Schedule(2, 2, 1e-3), take)


def faults(
    learner: nn.Module, material: Any, config: Schedule, take: Callable[..., None]
) -> list[str]:
    """Take two steps there; return what was wrong with them.

    Args:
        material: a dataclass of tensors.
        take: one step of the network, from the material there, and the state.
    """
    parts = [getattr(material, part.name) for part in fields(material)]
    mode = FakeTensorMode()
    move(learner.to(memory_format=torch.channels_last), mode)
    moved = type(material)(*(None if part is None else there(part, mode) for part in parts))
    with mode:
        state = begun(learner, config)
        try:
            for _ in range(2):
                with NoCopies():
                    take(learner, moved, state)
        except (RuntimeError, NotImplementedError) as error:
            return [f"{type(error).__name__}: {error}"]
    return []


def there(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    numberless = mode.from_tensor(tensor.detach())
    with mode:
        return numberless.to(Numbers.device)


def move(learner: nn.Module, mode: FakeTensorMode) -> None:
    for part in learner.modules():
        for name, weight in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(there(weight, mode)))
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, there(buffer, mode))


def begun(learner: nn.Module, config: Schedule) -> State:
    """As `learning.begin`, of a network that lies there already."""
    rate = config.learning_rate
    adam = torch.optim.AdamW(learner.parameters(), rate, fused=True)
    optimizer = Muon(learner, rate) if config.optimizer == "muon" else adam
    accelerate: Any = Plain()
    return State(0, optimizer, Numbers(), accelerate, learner, config.steps)


Case = tuple[Callable[..., list[str]], tuple[Any, ...]]
LEARNING: list[Case] = [
    *((internal, (recipe, changes)) for recipe in ("paper", "fast") for changes in CHANGES),
    (internal, ("fast", {}, True)),
    *((propagation, (recipe,)) for recipe in ("paper", "fast")),
    *((vinet, (stage,)) for stage in STAGES),
]
BROKEN: list[Case] = [(broken, (how,)) for how in ("waits", "mixes", "copies")]


NAMES = [" ".join(map(str, (case.__name__, *of))) for case, of in LEARNING + BROKEN]


def every() -> list[list[str]]:
    _setup_privateuseone_for_python_backend("imagined")
    module = torch.get_device_module(Numbers.device)
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    return [case(*arguments) for case, arguments in LEARNING + BROKEN]


@pytest.fixture(scope="module")
def found() -> list[list[str]]:
    """What was wrong in each case: in a process of its own, since a device is for good."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(every).result()


@pytest.mark.parametrize("number", range(len(LEARNING)), ids=NAMES[: len(LEARNING)])
def test_a_step_stays_on_its_device_and_never_waits_for_it(
    found: list[list[str]], number: int
) -> None:
    assert found[number] == []


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=NAMES[len(LEARNING) :])
def test_one_that_does_not_is_found(found: list[list[str]], number: int) -> None:
    assert len(found[len(LEARNING) + number]) == 1
