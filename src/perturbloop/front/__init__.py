"""perturbloop from Python: a campaign as an object, every command as a method of the same name and options.

Cells come as AnnData objects or as paths; objects are never changed, and are kept as files in the campaign's folder.
"""

from perturbloop.front.campaign import Campaign
from perturbloop.front.commands import backtest, demo, inspect, knowledge, pretrain

__all__ = ["Campaign", "backtest", "demo", "inspect", "knowledge", "pretrain"]
