"""Accelerate, set up again and again in one process, and gradients in bf16."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from inpaint_fakes import COARSE, CPU, clip, fitted

from inpaint.learning import begin
from inpaint.network import build
from inpaint.precision import Conv2d, Precision, accelerator, resolve
from inpaint.recipes import FitConfig


def arithmetic(precision: Precision) -> torch.dtype:
    """What a product comes out as, under a new accelerator's autocast."""
    with accelerator(precision, CPU).autocast():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_a_second_accelerator_has_the_precision_it_was_asked_for() -> None:
    asked: list[Precision] = ["off", "bf16", "off", "bf16"]
    found = [arithmetic(precision) for precision in asked]
    assert found == [torch.float32, torch.bfloat16] * 2


@pytest.mark.parametrize("name", ["WORLD_SIZE", "LOCAL_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_a_fit_goes_alone_whatever_launched_its_process(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "2")
    assert accelerator("off", CPU).num_processes == 1
    assert os.environ[name] == "2"


def test_auto_on_a_gpu_is_fp16_where_bf16_is_only_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve("auto", torch.device("cuda")) == "fp16"


def test_fp16_without_a_gpu_is_refused_with_what_to_use_instead() -> None:
    for refuse in (resolve, accelerator):
        with pytest.raises(ValueError, match="needs a GPU; use bf16 or off"):
            refuse("fp16", CPU)
    with pytest.raises(ValueError, match="fp16"):
        begin(build(COARSE), FitConfig(precision="fp16"), CPU)


@pytest.mark.parametrize("precision", ["off", "bf16"])
def test_what_was_asked_for_is_what_is_used(precision: Precision) -> None:
    assert resolve(precision, CPU) == precision


@pytest.mark.parametrize(
    ("able", "chosen"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "off")],
)
def test_auto_on_a_cpu_is_bf16_where_it_has_instructions_for_it(
    able: dict[str, bool], chosen: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert resolve("auto", CPU) == chosen


def test_weights_keep_their_32_bits_in_bf16_and_the_optimiser_too() -> None:
    network = build(COARSE)
    state = begin(network, FitConfig(precision="bf16"), CPU)
    loss = sum(stage.mean() for stage in network(torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)))
    state.accelerator.backward(loss)
    state.optimizer.step()
    kept = [entry["exp_avg"] for entry in state.optimizer.state.values()]
    assert {tensor.dtype for tensor in [*network.parameters(), *kept]} == {torch.float32}


def test_one_fit_leaves_no_trace_in_the_precision_of_the_next() -> None:
    runs: list[Precision] = ["off", "bf16", "off", "bf16"]
    ends = [fitted(clip(), FitConfig(steps=2, batch=2, precision=run))[0] for run in runs]
    assert ends[:2] == ends[2:]
    assert all(one != other for one, other in pairwise(ends))


@pytest.mark.parametrize("dilation", [1, 2, 16])
@pytest.mark.parametrize("channels", [16, 24, 32, 36, 40])
def test_a_convolutions_gradient_in_bf16_is_that_in_float32(channels: int, dilation: int) -> None:
    torch.manual_seed(0)
    conv = Conv2d(channels, 8, 3, padding=dilation, dilation=dilation)
    conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(2, channels, 24, 32).to(memory_format=torch.channels_last)

    def gradients(precision: Precision) -> torch.Tensor:
        conv.zero_grad()
        entered = x.clone().requires_grad_()
        with accelerator(precision, CPU).autocast():
            made = conv(entered)
        assert made.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
        made.square().sum().backward()
        assert conv.weight.grad is not None
        assert entered.grad is not None
        return torch.cat([conv.weight.grad.flatten(), entered.grad.flatten()])

    alike = F.cosine_similarity(gradients("off"), gradients("bf16"), dim=0)
    assert float(alike) > 0.999
