"""The shards of a plan as tasks of a local Ray cluster: the same table, by several processes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from perturbloop.data.tokens import Tokens
from perturbloop.errors import InputError
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.plan import Plan

RETRIES = 3
"""How often a shard whose worker died is given to another one."""


def score_on_ray(
    engine: Engine,
    tokens: Tokens,
    plan: Plan,
    folder: Path,
    numbers: Sequence[int],
    *,
    workers: int,
    on_rows: Callable[[int], None],
) -> None:
    """Score shards in worker processes; each writes its own file, so a dead worker costs its shard and no more.

    Parameters
    ----------
    engine, tokens, plan, folder
        As `run_plan` has them.
    numbers
        Shards to score.
    workers
        Processes; a cluster that runs already is used as it is.
    on_rows
        Called with the edits of each shard that is done.

    Raises
    ------
    InputError
        If Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        msg = "Several workers need Ray; it is not installed. Run `pip install 'perturbloop[ray]'`, or leave `workers` at 0."
        raise InputError(msg) from None
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        threads = max(1, (os.cpu_count() or 1) // workers)
        shared = ray.put((engine, tokens, plan, folder.resolve()))
        score = ray.remote(max_retries=RETRIES, num_cpus=1, num_gpus=_gpus(engine, workers))(_score)
        waiting = {score.remote(shared, number, threads): number for number in numbers}
        while waiting:
            finished, _ = ray.wait(list(waiting), num_returns=1)
            for task in finished:
                on_rows(ray.get(task))
                del waiting[task]
    finally:
        if started:
            ray.shutdown()


def _score(shared: tuple[Engine, Tokens, Plan, Path], number: int, threads: int) -> int:
    import torch

    from perturbloop.perturb.collect import SHARD_EDITS, score_shard, shard_path

    engine, tokens, plan, folder = shared
    torch.set_num_threads(threads)
    edits = plan.shards(SHARD_EDITS)[number]
    if not shard_path(folder, number).is_file():  # a worker that died after writing needs no second run
        score_shard(engine, tokens, plan, folder, number, edits)
    return len(edits)


def _gpus(engine: Engine, workers: int) -> float:
    import torch

    return torch.cuda.device_count() / workers if engine.model.device.type == "cuda" else 0
