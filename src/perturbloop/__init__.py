"""perturbloop: close the loop between in-silico and real perturbations of single cells.

>>> import perturbloop as pl
>>> sorted(pl.__all__)
['Campaign', 'backtest', 'demo', 'inspect', 'knowledge', 'pretrain']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perturbloop.front import Campaign, backtest, demo, inspect, knowledge, pretrain

__version__: str
__all__ = ["Campaign", "backtest", "demo", "inspect", "knowledge", "pretrain"]


def __getattr__(name: str) -> Any:
    """Load the front door when it is first used: importing perturbloop loads nothing else."""
    if name == "__version__":
        return import_module("importlib.metadata").version("perturbloop")
    if name in __all__:
        return getattr(import_module("perturbloop.front"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
