"""What a run does when its cluster's head is gone: it ends by itself, with a line."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from cluster.head import GONE, RAY_WAITS, watched

WATCH = """
import sys, time
from cluster.head import watched
with watched(sys.argv[1], look_every_s=0.05):
    print("watching", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


def watching(listener: socket.socket, seconds: float, monkeypatch) -> subprocess.Popen[str]:
    monkeypatch.setenv(RAY_WAITS, "1")
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-c", WATCH, address, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "watching\n"
    return process


def test_a_head_that_is_gone_ends_the_process_with_a_line_and_a_status_of_its_own(
    listener, monkeypatch
):
    with watching(listener, 60, monkeypatch) as process:
        listener.close()
        (line,) = process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == GONE
    assert line.startswith("error: the cluster's head at 127.0.0.1:")
    assert line.endswith("; the same command goes on, on any cluster")


def test_a_head_that_answers_disturbs_nothing(listener, monkeypatch):
    with watching(listener, 1.5, monkeypatch) as process:
        assert process.wait(timeout=30) == 0


def test_a_cluster_of_our_own_is_not_watched():
    with watched(None, look_every_s=0.001):
        time.sleep(0.02)
