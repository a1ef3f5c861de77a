"""What shots ask of machines: decided before anything starts, refused by name where none has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_fakes import QUICK, moving_hole, pixels, quick, write_shot

from cluster.backlog import ShotSpec, shots_of
from cluster.launch import main
from cluster.prepare import check_needs
from cluster.room import Need
from cluster.running import fitted_to
from cluster.strict import ConfigError

GIB = 2**30
MACHINES = [Need(4, 8, 32 * GIB), Need(0, 64, 512 * GIB)]


def shot(name: str, **needs: float) -> ShotSpec:
    return ShotSpec(name, f"{name}.mov", "alpha", **needs)


def test_what_is_left_open_is_a_gpu_where_there_is_one_and_the_cores_beside_it():
    config, need = fitted_to(quick("capacity=auto", "resources.cpus=16"), MACHINES)
    assert (need, config.capacity) == (Need(1, 8), "base")
    config, need = fitted_to(quick("capacity=auto", "resources.cpus=16"), MACHINES[1:])
    assert (need, config.capacity) == (Need(0, 16), "small")


def test_memory_that_only_a_machine_without_gpus_has_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"no machine has 1 GPU, 1 core, 64\.0 GB of memory at "):
        fitted_to(quick("resources.memory_gb=64"), MACHINES)
    config = quick("resources.memory_gb=64", "resources.gpus=0")
    assert fitted_to(config, MACHINES)[1].memory_bytes == 64 * GIB


def test_a_shot_larger_than_every_machine_is_refused_and_the_others_go_on():
    shots = [shot("a"), shot("b", gpus=8), shot("c", memory_gb=64), shot("d", gpus=0, cpus=64)]
    good, refused = check_needs(quick(), shots, Need(1, 2), MACHINES)
    assert [each.name for each in good] == ["a", "d"]
    there = "1 × 4 GPUs, 8 cores, 32.0 GB of memory; 1 × 0 GPUs, 64 cores, 512.0 GB of memory"
    assert refused["b"] == f"asks for 8 GPUs, 2 cores: no machine has that; there are: {there}"
    assert refused["c"].startswith("asks for 1 GPU, 2 cores, 64.0 GB of memory: no machine has ")


def test_half_precision_is_refused_for_a_shot_that_wants_no_gpu():
    good, refused = check_needs(quick("precision=fp16"), [shot("a", gpus=0)], MACHINES[0], MACHINES)
    assert (good, refused["a"]) == ([], "gpus = 0: precision fp16 needs a GPU; use bf16 or off")


@pytest.mark.parametrize("suffix", ["csv", "yaml"])
def test_a_manifest_says_what_a_shot_asks_for(suffix, tmp_path):
    manifest = tmp_path / f"backlog.{suffix}"
    text = {
        "csv": "source,mask,gpus,cpus,memory_gb\na.mov,alpha,0.5,4,16\nb.mov,alpha,,,\n",
        "yaml": "- {source: a.mov, mask: alpha, gpus: 0.5, cpus: 4, memory_gb: 16}\n"
        "- {source: b.mov, mask: alpha}\n",
    }
    manifest.write_text(text[suffix])
    found = [(s.gpus, s.cpus, s.memory_gb) for s in shots_of(quick(f"shots={manifest}"))]
    assert found == [(0.5, 4, 16), (None, None, None)]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("gpus: 1.5", "gpus = 1.5: above 1 only a whole number of GPUs can be had"),
        ("gpus: -1", "gpus = -1: expected greater than or equal to 0"),
        ("cpus: 0", "cpus = 0: expected greater than or equal to 1"),
        ("memory_gb: much", "memory_gb = 'much': expected a valid number"),
    ],
)
def test_an_impossible_wish_is_refused_with_its_row(row, line, tmp_path):
    (tmp_path / "m.yaml").write_text(f"- {{source: a.mov, mask: alpha, {row}}}\n")
    with pytest.raises(ConfigError) as refused:
        shots_of(quick(f"shots={tmp_path}/m.yaml"))
    assert str(refused.value) == f"{tmp_path}/m.yaml: shot 1: {line}"


def test_a_launch_names_the_shot_that_is_too_large_and_finishes_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small", "large"):
        write_shot(tmp_path / name, pixels(2, 32, 32, 3), moving_hole(2, 32, 32))
    row = "- {{source: {0}/frames, mask: {0}/masks, name: {0}{1}}}\n"
    (tmp_path / "m.yaml").write_text(
        row.format("small", "") + row.format("large", ", memory_gb: 1e6")
    )
    assert main([*QUICK, "shots=m.yaml", "archive=archive", "method=telea"]) == 1
    said = capsys.readouterr().out
    assert "large: FAILED: asks for 0 GPUs, 1 core, 1000000.0 GB of memory: no machine has" in said
    assert "small v001" in said
