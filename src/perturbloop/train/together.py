"""Several processes that train one model, as `accelerate launch` or `torchrun` starts them.

The first process does the whole command; the others wait until it trains, make their share of each batch, and write nothing. They
are sent what they need, so that they need neither the campaign nor the cells, and share no disk. Batches, their order and what is
masked are drawn as one process draws them; the gradients of the shares are added up.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import distributed

from perturbloop.errors import InputError

MEETING = timedelta(minutes=5)
"""How long the processes wait for each other at the start."""
PATIENCE = timedelta(days=7)
"""How long the others wait while the first does something else."""


@dataclass(frozen=True)
class Crew:
    """The processes that train together, as one of them sees them."""

    rank: int = 0
    """Which one this is; 0 leads."""
    size: int = 1
    """How many there are."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that reads, tells and writes."""
        return self.rank == 0

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Rows of a batch that are this process's: every so many, since batches are sorted by length.

        >>> Crew(rank=1, size=2).share(np.array([7, 3, 5])).tolist()
        [3]
        """
        return rows[self.rank :: self.size]

    def agreed(self, value: float) -> float:
        """Return what the leading process says, to all."""
        return value if self.size == 1 else float(self._sent(value))

    def same(self, weights: Sequence[torch.Tensor]) -> None:
        """Give all processes the weights of the first."""
        for weight in weights if self.size > 1 else ():
            distributed.broadcast(weight.data, src=0)

    def add_up(self, weights: Sequence[torch.nn.Parameter], loss: float) -> float:
        """Add up the gradients of all processes, in each of them; gives the sum of their losses.

        Parameters
        ----------
        weights
            What is trained, in one order; a gradient that no process has stays away.
        loss
            Of this process's share, as its gradients are: divided by the size of the whole batch.
        """
        if self.size == 1:
            return loss
        flat = torch.cat(
            [torch.zeros_like(one).flatten() if one.grad is None else one.grad.flatten() for one in weights]
        )
        had = torch.tensor([loss, *(one.grad is not None for one in weights)], dtype=flat.dtype)
        flat = torch.cat([flat, had.to(flat.device)])
        distributed.all_reduce(flat)
        *parts, total, counts = flat.split([*(one.numel() for one in weights), 1, len(weights)])
        for one, part, count in zip(weights, parts, counts.tolist(), strict=True):
            one.grad = part.view_as(one).clone() if count else None
        return float(total)

    def call(self, function: Callable[..., Any], *args: Any, **own: Any) -> Any:
        """Call a function in all processes, and return what it gives here.

        Parameters
        ----------
        function
            A function of a module.
        args
            What all of them get.
        own
            What only this one gets; the function must do without.
        """
        if self.size == 1:
            return function(*args, **own)
        _state["busy"] = (
            True  # an error leaves it so: the others are in the middle of it, and end with this process
        )
        self._sent((function, args))
        found = function(*args, **own)
        _state["busy"] = False
        return found

    def serve(self) -> None:
        """Do what the first process calls, until it is done."""
        while (work := self._sent(None)) is not None:
            function, args = work
            function(*args)

    def dismiss(self) -> None:
        """Let the others go."""
        if not _state["busy"]:
            self._sent(None)
            distributed.destroy_process_group()

    def _sent(self, value: Any) -> Any:
        """What the first process hands in, in all."""
        held = [value]
        distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        return held[0]


_state: dict[str, Any] = {"crew": Crew(), "busy": False}


def crew() -> Crew:
    """Return the processes that train together; this one alone unless `join` was called."""
    found: Crew = _state["crew"]
    return found


def join() -> Crew:
    """Meet the processes that were started with this one; each takes the GPU of its number where there are some.

    Raises
    ------
    InputError
        If the others do not come, or there are more processes than GPUs.
    """
    backend = "gloo"
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            backend = "cpu:gloo,cuda:nccl"
        store, rank, size = next(distributed.rendezvous("env://", timeout=MEETING))
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        msg = (
            "The environment says that several processes train together (`WORLD_SIZE`); they need RANK, WORLD_SIZE, MASTER_ADDR and "
            f"MASTER_PORT, must all be started, and need a GPU each or none: {reason}. Start them by `torchrun`, or `unset WORLD_SIZE`."
        )
        raise InputError(msg) from error
    _state["crew"] = Crew(distributed.get_rank(), distributed.get_world_size())
    return crew()
