"""A backlog on disk, and where a cluster of a test's own may listen."""

from __future__ import annotations

import socket
from pathlib import Path

from job_fakes import moving_hole, pixels, write_shot


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def backlog(folder: Path, *names: str) -> Path:
    """Write a manifest of shots, of which one called `torn` has a damaged frame."""
    for name in names:
        write_shot(folder / name, pixels(3, 32, 32, 3), moving_hole(3, 32, 32))
    if "torn" in names:
        frame = folder / "torn" / "frames" / "plate.1002.png"
        frame.write_bytes(frame.read_bytes()[:100])
    rows = [f"{name}/frames,{name}/masks,{name}" for name in names]
    (folder / "show.csv").write_text("\n".join(["source,mask,name", *rows]))
    return folder / "show.csv"
