"""The shards of a plan as tasks of a Ray cluster: they come back to this process, which writes them; no disk is shared."""

import io
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any

import pandas as pd
import ray
import torch
from ray import ObjectRef, cloudpickle
from ray.exceptions import RayError, RayTaskError

from perturbloop.data.tokens import Tokens
from perturbloop.errors import StoreError
from perturbloop.perturb.engine import Engine
from perturbloop.perturb.plan import Plan
from perturbloop.perturb.workers import Sharing, no_cluster

RETRIES = 3
"""How often a shard whose worker or node died is given to another one."""
AHEAD = 1000
"""Shards that wait for a worker at a time."""
HELD = 4
"""Models and cells that a worker keeps; those of the arms before give way."""
QUIET: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is told to anybody, and a task without a GPU is not warned of it."""


class Pool:
    """A Ray cluster that this process is connected to, and what was sent there already."""

    def __init__(self, sharing: Sharing) -> None:
        """Connect, or start workers on this machine; a connection that is there is used as it is."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self.sent: dict[str, tuple[Any, ObjectRef]] = {}
        self.own = not ray.is_initialized()
        if self.own and sharing.cluster:
            connect(sharing.cluster)
        elif self.own:  # only the loopback may exist
            own: dict[str, Any] = {
                "address": "local",
                "num_cpus": sharing.workers,
                "include_dashboard": False,
            }
            ray.init(**own, _node_ip_address="127.0.0.1", **QUIET)

    def send(self, name: str, value: Any) -> ObjectRef:
        """Put a value where every node fetches it once; one that was sent before is not sent again."""
        found = self.sent.pop(name, None)
        self.sent[name] = found or (value, ray.put(value))
        for oldest in list(self.sent)[:-HELD]:
            del self.sent[oldest]
        return self.sent[name][1]

    def close(self) -> None:
        """Let go of the cluster; workers that were started here end."""
        if self.own:
            ray.shutdown()


def connect(address: str) -> None:
    """Connect to a cluster; somebody listens at its address.

    Parameters
    ----------
    address
        `HOST:PORT`, or `auto`: the one on this machine.

    Raises
    ------
    InputError
        If what answers there is no cluster of the same Ray and Python. Where it is none at all, Ray ends the process.
    """
    try:
        ray.init(address=address, **QUIET)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        with suppress(Exception):
            ray.shutdown()
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise no_cluster(address, reason[0]) from error


def score_on_ray(
    score: Any,
    engine: Engine,
    tokens: Tokens,
    plan: Plan,
    shards: Mapping[int, pd.DataFrame],
    *,
    sharing: Sharing,
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Score shards in other processes; one that dies, alone or with its node, costs its shard and no more.

    Model and cells travel once to each node and are unpacked once by each worker; a task brings its edits.

    Parameters
    ----------
    score, engine, tokens, plan, shards
        As `score_shards` has them.
    sharing
        Where the processes are.

    Yields
    ------
    Number of a shard and its table, as they come.

    Raises
    ------
    StoreError
        If a shard's workers died again and again.
    """
    if sharing.pool is None:
        sharing.pool = Pool(sharing)
        sharing.closing.callback(sharing.pool.close)
    send = sharing.pool.send
    apart = {id(engine.model): f"model {engine.model.digest}", id(tokens): f"tokens {id(tokens)}"}
    held = {apart[id(value)]: send(apart[id(value)], value) for value in (engine.model, tokens)}
    work = ray.put(_packed((score, engine, tokens, replace(plan, edits=plan.edits.iloc[:0])), apart))
    threads = max(1, (os.cpu_count() or 1) // sharing.workers) if sharing.workers else 1
    task = ray.remote(max_retries=RETRIES, num_cpus=1, num_gpus=_gpus(engine, sharing))(_scored)
    todo = iter(shards.items())
    waiting: dict[ObjectRef, int] = {}
    while True:
        for number, edits in islice(todo, AHEAD - len(waiting)):
            waiting[task.remote([work, held], edits, threads)] = number
        if not waiting:
            return
        for done in ray.wait(list(waiting), num_returns=1)[0]:
            yield waiting.pop(done), _fetched(done)


def _fetched(done: ObjectRef) -> pd.DataFrame:
    """Return what a task made; what is wrong in the task itself is raised as it is."""
    try:
        return ray.get(done)
    except RayTaskError:
        raise
    except RayError as error:
        msg = (
            f"A shard needs a worker that lives until it is done; {RETRIES + 1} died ({type(error).__name__}), most often for want of "
            "memory. Use fewer workers a machine, or a smaller `batch_tokens`, and run the same command again: finished shards are kept."
        )
        raise StoreError(msg) from error


def _gpus(engine: Engine, sharing: Sharing) -> float:
    """GPUs of a task: one on a cluster, a share of this machine's among its workers; none where the model is on a CPU."""
    if engine.model.device.type != "cuda":
        return 0
    return torch.cuda.device_count() / sharing.workers if sharing.workers else 1


class _Packer(cloudpickle.Pickler):
    """Pickles work without the parts that travel by themselves."""

    def __init__(self, file: io.BytesIO, apart: Mapping[int, str]) -> None:
        super().__init__(file)
        self.apart = apart

    def persistent_id(self, value: Any) -> str | None:
        return self.apart.get(id(value))


class _Unpacker(pickle.Unpickler):
    """Puts them together again, in a worker."""

    def __init__(self, file: io.BytesIO, held: Mapping[str, ObjectRef]) -> None:
        super().__init__(file)
        self.held = held

    def persistent_load(self, name: str) -> Any:
        return _kept(self.held[name])


def _packed(work: Any, apart: Mapping[int, str]) -> bytes:
    file = io.BytesIO()
    _Packer(file, apart).dump(work)
    return file.getvalue()


def _scored(refs: list[Any], edits: pd.DataFrame, threads: int) -> pd.DataFrame:
    """Score a shard in a worker."""
    work, held = refs
    torch.set_num_threads(threads)
    score, engine, tokens, plan = _unpacked(work, tuple(held.items()))
    return score(engine, tokens, plan, edits)


@lru_cache(maxsize=1)
def _unpacked(work: ObjectRef, held: tuple[tuple[str, ObjectRef], ...]) -> Any:
    return _Unpacker(io.BytesIO(ray.get(work)), dict(held)).load()


@lru_cache(maxsize=HELD)
def _kept(held: ObjectRef) -> Any:
    return ray.get(held)
