"""A fit as bytes and back: exact, and nothing unpickled but tensors and plain values."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from typing import Any

import torch
from torch import nn

from inpaint.learning import State

FORMAT = 2
DIGEST_BYTES = hashlib.sha256().digest_size


class DamagedCheckpoint(ValueError):
    """The bytes are no checkpoint of this fit."""


def dump(network: nn.Module, state: State) -> bytes:
    """Return weights, optimiser, random state and step; the same fit gives the same bytes.

    What `torch.save` writes, and the SHA-256 of it behind, which `torch.load` passes over.
    """
    scaler = state.accelerator.scaler
    content = {
        "format": FORMAT,
        "step": state.step,
        "end": state.end,
        "best": state.best,
        "waited": state.waited,
        "network": network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "device": state.device.type,
        "random": state.random.get_state(),
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    return seal(_interned(content))


def seal(content: dict[str, Any]) -> bytes:
    """Return tensors and plain values as the bytes that `read` takes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # torch's reader does not look at the checksums of its own format.
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


def restore(content: bytes, network: nn.Module, state: State) -> None:
    """Put the network and the state where `dump` found them.

    A CPU and a GPU draw their random numbers differently: where one goes on from the other's
    checkpoint, new ones are drawn, and the fit is not the one that the other would have made.

    Raises:
        DamagedCheckpoint: the bytes are cut short, changed, of another format or of another
            network. Network and state are what they were.
    """
    loaded = read(content)
    if _shapes(loaded["network"]) != _shapes(network.state_dict()):
        raise DamagedCheckpoint("a checkpoint of another network")
    network.load_state_dict(loaded["network"])
    state.optimizer.load_state_dict(loaded["optimizer"])
    if loaded["device"] == state.device.type:
        state.random.set_state(loaded["random"])
    else:
        state.random.manual_seed(state.random.initial_seed() + loaded["step"])
    if state.accelerator.scaler is not None and loaded["scaler"] is not None:
        state.accelerator.scaler.load_state_dict(loaded["scaler"])
    for name in ("step", "end", "best", "waited"):
        setattr(state, name, loaded[name])


def read(content: bytes) -> dict[str, Any]:
    """Return what a checkpoint holds, its tensors on the CPU.

    Raises:
        DamagedCheckpoint: it cannot be read or is of another format.
    """
    saved, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(saved).digest() != digest:
        raise DamagedCheckpoint("cut short, or not what was written")
    try:
        loaded = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DamagedCheckpoint(f"cannot be read: {error}") from error
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        raise DamagedCheckpoint("not a checkpoint of this format")
    return loaded


def _shapes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _interned(value: Any) -> Any:
    """Make equal strings one object.

    Pickle writes a string it has met as a reference, and tells by identity whether it has: without
    this a resumed fit and an unbroken one differ in their bytes.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {_interned(key): _interned(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_interned(entry) for entry in value)
    return value
