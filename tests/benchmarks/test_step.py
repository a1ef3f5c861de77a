"""The step benchmark: every variant takes the same step, and what a step is said to cost."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from benchmarks.step import flops, matrix_rate, rounds, works
from benchmarks.variants import Variant, Work, ours, stepper, variants
from inpaint.recipes import RECIPES

CPU = torch.device("cpu")
TINY = Work("fast", "small", (32, 48), replace(RECIPES["fast"], batch=2))
PLAIN = Variant("plain")


def losses(variant: Variant, device: torch.device, steps: int = 4) -> list[float]:
    take = stepper(TINY, variant, device)
    return [float(take()) for _ in range(steps)]


@pytest.mark.parametrize(
    "change", [{"channels_last": True}, {"fused_gate": True}, {"transposed": True}]
)
def test_layout_and_fusing_change_the_loss_by_rounding_only(change: dict[str, bool]) -> None:
    changed = replace(PLAIN, **change)
    assert losses(changed, CPU) == pytest.approx(losses(PLAIN, CPU), rel=1e-4)


def test_the_project_takes_the_plain_step_in_its_own_precision() -> None:
    assert losses(ours("adam"), CPU) == pytest.approx(losses(PLAIN, CPU), rel=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_cuda_graph_takes_the_same_steps(optimizer: str) -> None:
    gpu = torch.device("cuda")
    graph = next(v for v in variants(optimizer, gpu) if v.engine == "graph")
    assert losses(graph, gpu) == pytest.approx(losses(ours(optimizer), gpu), rel=1e-2)


def test_the_paper_step_costs_two_teraflop_and_the_project_s_an_eighth_less() -> None:
    (paper,) = works(Namespace(work=["paper"], device="cpu", size=None, batch=None))
    assert flops(paper, PLAIN) == pytest.approx(2.2e12, rel=0.01)
    assert flops(paper, ours("adam")) == pytest.approx(0.88 * 2.2e12, rel=0.01)


def test_a_gpu_has_one_more_size_of_the_fast_recipe() -> None:
    options = Namespace(work=["fast"], device="cuda", size=None, batch=None)
    assert [work.capacity for work in works(options)] == ["small", "base"]


def test_variants_are_measured_in_turns() -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[[], torch.Tensor]:
        return lambda: torch.tensor(order.append(name) or 0)

    times = list(rounds([noted("a"), noted("b")], 0.0, 3, CPU))
    assert "".join(order) == "ab" + "ab" * 3
    assert [len(one) for one in times] == [2, 2, 2]


def test_a_machine_multiplies_at_some_rate() -> None:
    assert matrix_rate(torch.float32, CPU, tries=1) > 1e8
