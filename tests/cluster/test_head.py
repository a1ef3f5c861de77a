"""A cluster of a fresh account, started and used by the README's lines. Minutes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from job_fakes import QUICK, result
from submitted_fakes import backlog, free_port

from storage import Archive
from storage.verify import verify

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Head:
    """A cluster of one machine, and the environment of the account that it belongs to."""

    address: str
    environment: dict[str, str]

    def run(self, *words: str, timeout_s: float = 120, **changes: str) -> tuple[int, str]:
        """Run a command in the repository; return its exit status and what it printed."""
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=self.environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        return done.returncode, done.stdout

    def job(self, verb: str, *words: str) -> tuple[int, str]:
        return self.run("ray", "job", verb, *words)


def account(home: Path) -> dict[str, str]:
    """Return the environment of a fresh account after the first of the README's lines."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    said = {"RAY_AUTH_MODE": "token", "RAY_JOB_STOP_WAIT_TIME_S": "120"}
    return kept | said | {"HOME": str(home), "PATH": path, "RAY_USAGE_STATS_ENABLED": "0"}


def eventually(true: Callable[[], bool], what: str, within_s: float = 60) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, what
        time.sleep(0.2)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with tempfile.TemporaryDirectory(prefix="cp", ignore_cleanup_errors=True) as home:
        environment, port, board = account(Path(home)), free_port(), free_port()
        environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{board}"
        started = Head(f"127.0.0.1:{port}", environment)
        assert started.run("ray", "get-auth-token", "--generate")[0] == 0
        words = ["ray", "start", "--head", "--block", f"--port={port}", f"--temp-dir={home}/ray"]
        words += [f"--dashboard-port={board}", "--num-cpus=2"]
        with ended(subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, text=True)):
            eventually(lambda: started.job("list")[0] == 0, "the job server answers")
            yield started


def submission(archive: Path, shots: Path, *words: str) -> list[str]:
    """Return the rest of `ray job submit`, as the README has it."""
    quick = [word for word in QUICK if not word.startswith("runner=")]
    command = ["python", "-m", "cluster.launch", "configs/backlog.yaml", "export=null"]
    return [
        "--working-dir",
        ".",
        "--",
        *command,
        *quick,
        f"shots={shots}",
        f"archive={archive}",
        *words,
    ]


def test_a_stopped_job_saves_its_shots_and_goes_on_when_it_is_submitted_again(head, tmp_path):
    archive = tmp_path / "archive"
    submit = submission(archive, backlog(tmp_path, "one", "two"), "fit.steps=200")
    assert head.job("submit", "--submission-id", "first", "--no-wait", *submit)[0] == 0
    eventually(lambda: len(list(archive.rglob("checkpoint-*.pt"))) > 2, "both shots are at work")
    assert "was stopped" in head.job("stop", "first")[1]
    assert "stopped; the same command goes on" in head.job("logs", "first")[1].splitlines()[-1]
    steps = [result(archive, name).attrs["step"] for name in ("one", "two")]
    assert 0 < min(steps) <= max(steps) < 200
    assert list(verify(Archive.open(str(archive)))) == []
    assert head.job("submit", *submit)[0] == 0
    assert all(result(archive, name).complete for name in ("one", "two"))


def test_a_job_with_a_broken_shot_fails_names_it_and_says_little(head, tmp_path):
    submit = submission(tmp_path / "archive", backlog(tmp_path, "one", "torn"))
    assert head.job("submit", "--submission-id", "torn", *submit)[0] == 1
    status = head.job("status", "torn")[1]
    assert "failed with exit code 1" in status
    assert re.search(r"torn: FAILED: .*plate.1002.png.*\n1 of 2 shots failed", status)
    assert len(head.job("logs", "torn")[1].splitlines()) < 20


def test_a_cluster_that_runs_here_is_neither_joined_unasked_nor_without_its_token(head):
    connect = "from cluster import on_ray; on_ray.connect(); import ray"
    connect += "; print(ray.get_runtime_context().gcs_address)"
    joined, own = (
        head.run(sys.executable, "-c", connect, **asked)
        for asked in ({"RAY_ADDRESS": head.address}, {})
    )
    port = head.address.split(":")[1]
    assert joined[0] == own[0] == 0
    assert joined[1].strip().endswith(port)
    assert not own[1].strip().endswith(port)
    stranger = {"RAY_ADDRESS": head.address, "RAY_AUTH_TOKEN": "ab" * 32}
    status, said = head.run(sys.executable, "-c", connect, **stranger)
    assert (status, "if a token closes it" in said) == (1, True)


SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'


@pytest.mark.parametrize("number", [0, signal.SIGTERM])
def test_the_slurm_script_ends_as_its_main_job_does(tmp_path, number):
    """Stand-ins for Slurm's own commands, and for its two nodes this one."""
    for name, text in (("srun", SRUN), ("scontrol", "#!/bin/bash\nhostname\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = account(tmp_path) | {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": "2"}
    environment |= {"SLURM_CPUS_PER_TASK": "1", "SLURM_JOB_NODELIST": "here"}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    words = submission(tmp_path / "archive", backlog(tmp_path, "one", "two"))
    words = [*words[words.index("cluster.launch") + 1 :], f"fit.steps={100_000 if number else 4}"]
    script = [str(ROOT / "configs" / "cluster" / "slurm.sh"), *words]
    with ended(subprocess.Popen(["bash", *script], cwd=ROOT, env=environment, text=True)) as batch:
        if number:
            begun = tmp_path / "archive"
            eventually(lambda: any(begun.rglob("checkpoint-*.pt")), "a shot is at work", 120)
            batch.send_signal(number)
        assert batch.wait(timeout=180) == (128 + number if number else 0)
    shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)
