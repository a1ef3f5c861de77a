"""Checkpoints: exact, refused when damaged, nothing unpickled but tensors and plain values."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from inpaint_fakes import COARSE, CPU, REFINED, clip

from inpaint.checkpoint import DamagedCheckpoint, dump, read, restore, seal
from inpaint.internal import fit
from inpaint.learning import State, begin
from inpaint.network import Capacity, Network, build
from inpaint.recipes import FitConfig

CONFIG = FitConfig(steps=2, batch=2)


def fresh(seed: int = 0, capacity: Capacity = COARSE, channels: int = 3) -> tuple[Network, State]:
    network = build(capacity, channels, seed)
    return network, begin(network, replace(CONFIG, seed=seed), CPU)


@pytest.fixture(scope="module")
def saved() -> bytes:
    """The checkpoint of a fit of two steps."""
    network, state = fresh()
    for _ in fit(network, clip(), CONFIG, state):
        pass
    return dump(network, state)


def without_digest(content: bytes) -> dict[str, Any]:
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    assert isinstance(loaded, dict)
    return loaded


def test_what_is_restored_dumps_the_same_bytes(saved: bytes) -> None:
    network, state = fresh(seed=5)
    assert dump(network, state) != saved
    restore(saved, network, state)
    assert dump(network, state) == dump(network, state) == saved


def test_weights_optimiser_random_state_and_step_are_all_restored(saved: bytes) -> None:
    network, state = fresh(seed=5)
    restore(saved, network, state)
    held = read(saved)
    assert state.step == held["step"] == 2
    assert torch.equal(state.random.get_state(), held["random"])
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, held["network"][name])
    for number, entry in state.optimizer.state_dict()["state"].items():
        assert torch.equal(entry["exp_avg"], held["optimizer"]["state"][number]["exp_avg"])
        assert entry["step"] == 2


def test_torch_reads_a_checkpoint_without_unpickling_code(saved: bytes) -> None:
    assert without_digest(saved).keys() == read(saved).keys()


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 1000, -33, -32, -1])
def test_a_checkpoint_cut_short_is_refused(saved: bytes, kept: int) -> None:
    with pytest.raises(DamagedCheckpoint):
        read(saved[:kept])


def test_a_single_wrong_bit_anywhere_is_found(saved: bytes) -> None:
    places = random.Random(0)
    for _ in range(50):
        flipped = bytearray(saved)
        flipped[places.randrange(len(saved))] ^= 1 << places.randrange(8)
        with pytest.raises(DamagedCheckpoint):
            read(bytes(flipped))


def test_bytes_that_are_no_checkpoint_are_refused(saved: bytes) -> None:
    content = without_digest(saved)
    for other in ({}, content | {"format": 1}, [1, 2], io.StringIO("code")):
        with pytest.raises(DamagedCheckpoint):
            read(seal(other))  # type: ignore[arg-type]
    for garbage in (b"", b"PK\x03\x04 no archive", b"plain text"):
        with pytest.raises(DamagedCheckpoint):
            read(garbage + hashlib.sha256(garbage).digest())


@pytest.mark.parametrize(("capacity", "channels"), [(REFINED, 3), (COARSE, 4)])
def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(
    saved: bytes, capacity: Capacity, channels: int
) -> None:
    network, state = fresh(5, capacity, channels)
    before = dump(network, state)
    with pytest.raises(DamagedCheckpoint, match="another network"):
        restore(saved, network, state)
    assert dump(network, state) == before


def test_a_damaged_checkpoint_changes_nothing(saved: bytes) -> None:
    network, state = fresh(5)
    before = dump(network, state)
    with pytest.raises(DamagedCheckpoint):
        restore(saved[:-1], network, state)
    assert dump(network, state) == before


def test_a_fit_begun_on_a_gpu_goes_on_here_with_random_numbers_of_its_own(saved: bytes) -> None:
    elsewhere = {"device": "cuda", "random": torch.zeros(16, dtype=torch.uint8)}
    content = seal(without_digest(saved) | elsewhere)
    (network, state), (other, other_state) = fresh(), fresh()
    start = state.random.get_state()
    restore(content, network, state)
    restore(content, other, other_state)
    assert state.step == 2
    assert not torch.equal(state.random.get_state(), start)
    assert dump(network, state) == dump(other, other_state)
