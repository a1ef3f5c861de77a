import time
import urllib.request

import pytest
import ray
from job_fakes import note

from cluster.gauges import gauged


@pytest.fixture(scope="module")
def metrics():
    """Return what Prometheus would read of a private Ray."""
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _system_config={"metrics_report_interval_ms": 500},
    )
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"

    def read():
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        lines = [line for line in text.splitlines() if line.startswith("ray_cleanplate")]
        return {line.split("{")[0] + _kind(line): float(line.rsplit(" ", 1)[1]) for line in lines}

    yield read
    ray.shutdown()


def _kind(line):
    return f" {line.split('kind=')[1].split(chr(34))[1]}" if "kind=" in line else ""


def until(read, wanted, limit_s=60):
    """Read until the metrics hold what is wanted; return that part of them."""
    ends_at = time.monotonic() + limit_s
    while time.monotonic() < ends_at:
        found = read()
        if {key: found.get(key) for key in wanted} == wanted:
            break
        time.sleep(0.5)
    return {key: found.get(key) for key in wanted}


def test_speeds_add_up_and_shots_are_counted_in_rays_own_metrics(metrics):
    told = [note(name="one"), note(name="two", rate=3.5), note("log", "three", text="")]
    told += [note("done", "four"), note("failed", "five", again=False)]
    told += [note("failed", "one", again=True)]
    assert list(gauged(iter(told[:-1]))) == told[:-1]
    wanted = {
        "ray_cleanplate_steps_per_second inpaint": 5.5,
        "ray_cleanplate_jobs_running inpaint": 3.0,
        "ray_cleanplate_jobs_running export": 0.0,
        "ray_cleanplate_shots_done_total": 1.0,
        "ray_cleanplate_shots_failed_total": 1.0,
    }
    assert until(metrics, wanted) == wanted
