import multiprocessing
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor

import ray
from job_fakes import note

from cluster.gauges import gauged


def in_a_process_of_its_own(function, *arguments):
    """Return what a function returns there. Ray's exporter of metrics outlives Ray: a second
    Ray in a process leaves threads that read the environment while pytest changes it."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as process:
        return process.submit(function, *arguments).result()


def scraped(told, wanted, limit_s=60):
    """Return what Prometheus reads of a private Ray, once it holds what is wanted."""
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _system_config={"metrics_report_interval_ms": 500},
    )
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    passed = list(gauged(iter(told)))
    ends_at = time.monotonic() + limit_s
    found = {}
    while {key: found.get(key) for key in wanted} != wanted and time.monotonic() < ends_at:
        time.sleep(0.5)
        found = read(url)
    ray.shutdown()
    return passed, {key: found.get(key) for key in wanted}


def read(url):
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    lines = [line for line in text.splitlines() if line.startswith("ray_cleanplate")]
    return {line.split("{")[0] + kind(line): float(line.rsplit(" ", 1)[1]) for line in lines}


def kind(line):
    return f" {line.split('kind=')[1].split(chr(34))[1]}" if "kind=" in line else ""


def test_speeds_add_up_and_shots_are_counted_in_rays_own_metrics():
    told = [note(name="one"), note(name="two", rate=3.5), note("log", "three", text="")]
    told += [note("done", "four"), note("failed", "five", again=False)]
    told += [note("failed", "one", again=True)]
    wanted = {
        "ray_cleanplate_steps_per_second inpaint": 3.5,
        "ray_cleanplate_jobs_running inpaint": 2.0,
        "ray_cleanplate_jobs_running export": 0.0,
        "ray_cleanplate_shots_done_total": 1.0,
        "ray_cleanplate_shots_failed_total": 1.0,
    }
    assert in_a_process_of_its_own(scraped, told, wanted) == (told, wanted)
