"""A fit as bytes and back: exact, and nothing unpickled but tensors and plain values."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch

from inpaint.internal import State
from inpaint.network import Network

FORMAT = 1


class DamagedCheckpoint(ValueError):
    """The bytes are no checkpoint of this fit."""


def dump(network: Network, state: State) -> bytes:
    """Return weights, optimiser, random state and step; the same fit gives the same bytes."""
    scaler = state.accelerator.scaler
    content = {
        "format": FORMAT,
        "step": state.step,
        "network": network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "random": state.random.get_state(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def restore(content: bytes, network: Network, state: State) -> None:
    """Put the network and the state where `dump` found them.

    Raises:
        DamagedCheckpoint: the bytes are cut short, of another format or of another network.
    """
    loaded = read(content)
    try:
        network.load_state_dict(loaded["network"])
        state.optimizer.load_state_dict(loaded["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise DamagedCheckpoint(f"a checkpoint of another network: {error}") from error
    state.random.set_state(loaded["random"])
    if state.accelerator.scaler is not None and loaded["scaler"] is not None:
        state.accelerator.scaler.load_state_dict(loaded["scaler"])
    state.step = loaded["step"]


def read(content: bytes) -> dict[str, Any]:
    """Return what a checkpoint holds, its tensors on the CPU.

    Raises:
        DamagedCheckpoint: it cannot be read or is of another format.
    """
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise DamagedCheckpoint(f"cannot be read: {error}") from error
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        raise DamagedCheckpoint("not a checkpoint of this format")
    return loaded
