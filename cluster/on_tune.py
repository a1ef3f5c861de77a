"""The trials of a sweep on Ray Tune: which points, how many at once, which are stopped early.

The only module that talks to Tune. Its folder holds pickles (`tuner.pkl`, the searcher's state):
going on with a sweep runs whatever code they name, so never go on with a stranger's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cluster import on_ray  # noqa: F401  (before Ray Tune: it closes a private Ray to others)
from cluster.failures import classify
from cluster.outcome import Trial
from cluster.space import Dimension, SweepConfig, rounded
from cluster.strict import ConfigError
from cluster.trial import Fit, Task, attempt

# Signals are passed on below, trials find files where the command was typed, and what is to be told
# we tell: no banner, no log files, no warnings. What failed has its trace in the trial's error.txt.
os.environ.update(
    TUNE_DISABLE_SIGINT_HANDLER="1",
    RAY_CHDIR_TO_TRIAL_DIR="0",
    RAY_AIR_NEW_OUTPUT="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
)

import ray  # isort: skip
from ray import tune  # isort: skip
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler  # isort: skip
from ray.tune.search.basic_variant import BasicVariantGenerator  # isort: skip

logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

METRIC = "over_telea_db"
"""Mean over the shots so far, above Telea's figure on each, so that a trial that was stopped after
an easy shot does not look good to the searcher."""


def check_searcher(sweep: SweepConfig) -> None:
    """Raise `ConfigError` where the searcher is not installed."""
    if sweep.searcher == "optuna" and importlib.util.find_spec("optuna") is None:
        raise ConfigError("searcher = 'optuna': not installed; pip install 'cleanplate[sweep]'")


def search(task: Task, sweep: SweepConfig, space: Sequence[Dimension], folder: Path) -> list[Trial]:
    """Try points of the space, the default first; return all trials, whatever became of them.

    Goes on where an earlier call with the same folder was ended. SIGINT and SIGTERM end it.

    Args:
        folder: absolute; of Tune's own files.
    """
    share = {"cpu": task.need.cpus, "gpu": task.need.gpus, "memory": task.need.memory_bytes}
    trainable = tune.with_resources(tune.with_parameters(_try, task=task), share)
    if tune.Tuner.can_restore(str(folder)):
        tuner = tune.Tuner.restore(str(folder), trainable, resume_errored=True)
    else:
        tuner = _tuner(trainable, task, sweep, space, folder)
    with _signals_end_tune():
        tuner.fit()
    found = tune.ExperimentAnalysis(str(folder)).trials
    return [_tried(number, trial, task) for number, trial in enumerate(_in_order(found))]


def _try(point: dict[str, Any], task: Task) -> None:
    """Be the trial in a process of its own; goes on from Tune's last checkpoint of it."""
    gpus = ray.get_gpu_ids()  # with none given, torch would still see every GPU of the node
    if gpus and task.need.gpus < 1:
        torch.cuda.set_per_process_memory_fraction(task.need.gpus)
    device = torch.device("cuda" if gpus else "cpu")
    for fits, content in attempt(task, point, device, *_restored(tune.get_checkpoint())):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "fits.json").write_text(_dumped(fits))
            Path(folder, "fit.pt").write_bytes(content)
            tune.report(_metrics(fits), checkpoint=tune.Checkpoint.from_directory(folder))


def _metrics(fits: Sequence[Fit]) -> dict[str, Any]:
    """What Tune is told; `fits` is what we read back."""
    return {
        METRIC: sum(one.latest - one.telea for one in fits) / len(fits),
        "psnr_db": sum(one.latest for one in fits) / len(fits),
        "tflop": sum(one.spent_tflop for one in fits),
        "shots": sum(one.psnr is not None for one in fits),
        "fits": _dumped(fits),
    }


def _dumped(fits: Sequence[Fit]) -> str:
    return json.dumps([dataclasses.asdict(one) for one in fits])


def _loaded(text: str) -> list[Fit]:
    return [
        Fit(**values | {"curve": tuple((int(s), float(db)) for s, db in values["curve"])})
        for values in json.loads(text)
    ]


def _restored(checkpoint: tune.Checkpoint | None) -> tuple[list[Fit], bytes]:
    if checkpoint is None:
        return [], b""
    with checkpoint.as_directory() as folder:
        return _loaded(Path(folder, "fits.json").read_text()), Path(folder, "fit.pt").read_bytes()


def _tuner(
    trainable: Callable[..., Any],
    task: Task,
    sweep: SweepConfig,
    space: Sequence[Dimension],
    folder: Path,
) -> tune.Tuner:
    default = {dimension.key: dimension.default for dimension in space}
    return tune.Tuner(
        trainable,
        param_space={dimension.key: _domain(dimension) for dimension in space},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=sweep.trials,
            max_concurrent_trials=sweep.max_concurrent,
            search_alg=_searcher(sweep, default),
            scheduler=_scheduler(sweep, default, len(task.shots)),
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=tune.FailureConfig(max_failures=task.base.max_attempts - 1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[_Told(task.shots, sweep.trials)],
            verbose=0,
        ),
    )


def _domain(dimension: Dimension) -> Any:
    """Return the dimension as Tune has it, whose whole numbers end before the last."""
    if dimension.kind == "choice":
        return tune.choice(list(dimension.values))
    low, high = dimension.values
    if dimension.kind.endswith("randint"):
        high += 1
    return getattr(tune, dimension.kind)(low, high)


def _searcher(sweep: SweepConfig, default: dict[str, Any]) -> Any:
    if sweep.searcher == "random":
        limit = sweep.max_concurrent or 0  # of its own: it does not look at max_concurrent_trials
        return BasicVariantGenerator([default], limit, random_state=sweep.seed)
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return OptunaSearch(points_to_evaluate=[default], seed=sweep.seed)


def _scheduler(sweep: SweepConfig, default: dict[str, Any], shots: int) -> TrialScheduler:
    return Halving(default, shots) if sweep.scheduler == "asha" and shots > 1 else FIFOScheduler()


class Halving(ASHAScheduler):
    """Stops a trial that is worse than the median after 1, 2, 4 … whole shots.

    Within a fit a lower learning rate looks better. The default goes on: all are held against it.
    """

    def __init__(self, default: dict[str, Any], shots: int) -> None:
        super().__init__(time_attr="shots", max_t=shots, grace_period=1, reduction_factor=2)
        self._default = default

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        return TrialScheduler.CONTINUE if trial.config == self._default else decision


def _folder_name(trial: Any) -> str:
    return f"trial-{trial.trial_id}"


class _Told(tune.Callback):
    """Prints a line for every shot that is done, and for every trial that failed."""

    def __init__(self, shots: Sequence[str], wanted: int) -> None:
        self._shots, self._wanted = shots, wanted

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        fits = _loaded(result["fits"])
        if fits[-1].psnr is not None:
            shot = self._shots[len(fits) - 1]
            print(f"{self._named(trials, trial)}: {shot} {fits[-1].psnr:.2f} dB", flush=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        print(f"{self._named(trials, trial)}: FAILED: {_reason(trial)}", flush=True)

    def _named(self, trials: list[Any], trial: Any) -> str:
        return f"trial {_in_order(trials).index(trial)} of {self._wanted}"


def _in_order(trials: Sequence[Any]) -> list[Any]:
    """Return Tune's trials as they were drawn, the default first."""
    return sorted(trials, key=lambda trial: int(trial.experiment_tag.split("_")[0]))


def _tried(number: int, trial: Any, task: Task) -> Trial:
    """Read a trial of Tune's."""
    result = trial.last_result or {}
    fits = _loaded(result.get("fits", "[]"))
    values = {key: rounded(value) for key, value in trial.config.items()}
    finished = sum(one.psnr is not None for one in fits) == len(task.shots)
    if trial.status == "ERROR":
        return Trial(number, values, "failed", fits, _reason(trial))
    if finished or trial.status == "TERMINATED":
        return Trial(number, values, "done" if finished else "stopped", fits)
    return Trial(number, values, "open", fits)


def _reason(trial: Any) -> str:
    error = trial.get_pickled_error()
    cause = getattr(error, "cause", None) or error
    return classify(cause).reason if isinstance(cause, Exception) else "no reason is known"


@contextlib.contextmanager
def _signals_end_tune() -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to Tune, beside whoever listens, as the one signal it hears."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = signal.getsignal(signal.SIGUSR1)
    try:
        for number, handler in before.items():
            signal.signal(number, partial(_pass_on, handler))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGUSR1, ours)


def _pass_on(handler: Any, number: int, frame: Any) -> None:
    if callable(handler):
        handler(number, frame)
    if callable(signal.getsignal(signal.SIGUSR1)):  # Tune's, once it has begun
        signal.raise_signal(signal.SIGUSR1)
