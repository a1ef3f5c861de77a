"""How many cores there are, and how many a job's libraries use."""

from __future__ import annotations

import os

import cv2
import torch


def available() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def take(count: int) -> None:
    """Have PyTorch and OpenCV use so many threads in this process; each would take every core."""
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
