"""How many cores a job's libraries use."""

from __future__ import annotations

import cv2
import torch


def take(count: int) -> None:
    """Have PyTorch and OpenCV use so many threads in this process; each would take every core."""
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
