"""What tests of the cluster share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A private Ray of two cores for the tests of a module."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        # A training's checkpoint waits for the next one.
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        # Its exporter of metrics would outlive it, reading the environment while pytest changes it.
        still = {"enable_metrics_collection": False}
        ray.init(address="local", num_cpus=2, num_gpus=0, _system_config=still, **quiet)
        yield
        ray.shutdown()
