"""The main job on somebody's cluster: what is shipped, who is joined, what a submitted job says."""

from __future__ import annotations

import os
import re
import shutil
import socket
import zipfile
from pathlib import Path

import pytest
import yaml
from job_fakes import QUICK, moving_hole, pixels, write_shot
from submitted_fakes import backlog, free_port

from cluster import address
from cluster.backlog import job_advice
from cluster.config import load_config
from cluster.launch import main
from cluster.strict import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = ("cluster", "inpaint", "storage", "configs")
ARCHIVES = ("runs/archive/c", "cleanplate-runs/archive/c", "show/zarr.json", "configs/runs/c")
INTRUDERS = (*ARCHIVES, "clip.mov", "a.0001.exr", ".git/HEAD", "docs/a.jpg", "tests/test_it.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The repository's own files, and around them what may lie there but is not to be shipped."""
    here = tmp_path / "checkout"
    for name in SHIPPED:
        shutil.copytree(ROOT / name, here / name)
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, here / name)
    for name in INTRUDERS:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(bytes(1000))
    return here


def package(folder: Path, target: Path) -> zipfile.ZipFile:
    """Pack a working directory as `ray job submit --working-dir` does."""
    from ray._private.runtime_env import packaging, working_dir

    def pack(path: str, excludes: list[str], is_file: bool = False) -> None:
        packaging.create_package(path, target, include_gitignore=True, excludes=excludes)

    environment = {"working_dir": str(folder)}
    working_dir.upload_working_dir_if_needed(environment, include_gitignore=True, upload_fn=pack)
    return zipfile.ZipFile(target)


def test_a_submitted_folder_is_the_code_and_its_configurations(checkout: Path, tmp_path: Path):
    (checkout / "show.yaml").write_text("[]")
    names = set(package(checkout, tmp_path / "package.zip").namelist())
    assert {name.split("/")[0] for name in names} == {*SHIPPED, "show.yaml"}
    assert names.isdisjoint(INTRUDERS)
    needed = [path for kind in ("py", "html", "yaml") for path in checkout.rglob(f"*.{kind}")]
    ours = {str(path.relative_to(checkout)) for path in needed} - {*INTRUDERS}
    assert names >= ours > {"cluster/report.html", "configs/ablations/holes.yaml"}


def test_a_submitted_folder_is_below_two_megabytes(checkout: Path, tmp_path: Path):
    package(checkout, tmp_path / "package.zip").close()
    assert (tmp_path / "package.zip").stat().st_size < 2_000_000


@pytest.mark.parametrize("value", [None, "", "local"])
def test_a_cluster_that_nobody_named_is_not_joined(value, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if value is not None:
        monkeypatch.setenv("RAY_ADDRESS", value)
    assert address.named() is None


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("nonsense", "expected host:port"),
        ("head:port", "expected host:port"),
        ("http://127.0.0.1:8265", "RAY_API_SERVER_ADDRESS"),
        ("ray://head:10001", "ray job submit"),
        ("127.0.0.1:99999", "nothing answers there"),
    ],
)
def test_an_address_that_is_none_is_refused(value, advice):
    with pytest.raises(ConfigError, match=advice) as refusal:
        address.check_reachable(value)
    assert str(refusal.value).startswith(f"RAY_ADDRESS = {value}: ")


def test_an_address_where_nobody_listens_is_one_line_and_2(tmp_path, monkeypatch, capsys):
    shot = write_shot(tmp_path / "one", pixels(2, 32, 32, 3), moving_hole(2, 32, 32))
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    words = [*QUICK, "runner=ray", f"source={shot.source}", f"mask={shot.mask}"]
    assert main([*words, f"archive={tmp_path}/archive"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "nothing answers there (Connection refused); start it, or unset RAY_ADDRESS"
    )


def test_one_who_listens_is_let_through():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address.check_reachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_submitted_job_says_where_relative_outputs_go_and_how_short_a_stop_is(monkeypatch):
    config = load_config(None, ["archive=runs/a", "export=/clean/{shot}.mov"])
    assert job_advice(config) == []
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.delenv("RAY_JOB_STOP_WAIT_TIME_S", raising=False)
    where, stop = job_advice(config)
    assert os.path.expanduser("~/cleanplate/runs/a") in where
    assert "will wait 3 s" in stop
    monkeypatch.setenv("RAY_JOB_STOP_WAIT_TIME_S", "120")
    assert job_advice(load_config(None, ["archive=s3://bucket/a"])) == []


def test_the_shots_that_failed_are_named_last(tmp_path, capsys):
    shots = backlog(tmp_path, "torn", "one")
    assert main([*QUICK, f"shots={shots}", f"archive={tmp_path}/archive"]) == 1
    *_, last_but_one, last = capsys.readouterr().out.splitlines()
    assert re.match(r"torn: FAILED: .*plate.1002.png", last_but_one)
    assert last == "1 of 2 shots failed"


def test_the_kubernetes_manifest_starts_a_run_that_is_none_of_a_wrong_configuration():
    job = yaml.safe_load((ROOT / "configs" / "cluster" / "kuberay.yaml").read_text())["spec"]
    *command, name, shots, archive, export, report = job["entrypoint"].split()
    assert command == ["python", "-m", "cluster.launch"]
    config = load_config(name, [shots, archive, export, report])
    assert config.export == "/plates/clean/{shot}.mov"
    assert int(yaml.safe_load(job["runtimeEnvYAML"])["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 30
    cluster = job["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["workerGroupSpecs"][0]["minReplicas"] > 0
