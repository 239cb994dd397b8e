"""The campaign's ledger: what was asked, what was read, what was done, what came out.

Behind one interface (`CampaignStore`) that speaks plain dataclasses and tables; only `sql.py` knows SQL. The ledger
is one SQLite file, `campaign.sqlite`, beside the Parquet tables it points to: numbers large enough to matter live
in those files, never in the ledger. A step counts as finished only once its outputs exist, so that a killed run
resumes; a target that was once held out stays held out.
"""

from perturbloop.store.base import Campaign, CampaignStore, Input, Round, Step, Target, step_key
from perturbloop.store.lock import lock
from perturbloop.store.sql import create_store, open_store

__all__ = [
    "Campaign",
    "CampaignStore",
    "Input",
    "Round",
    "Step",
    "Target",
    "create_store",
    "lock",
    "open_store",
    "step_key",
]
