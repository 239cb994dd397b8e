"""The campaign's ledger: what was asked, what was read, what was done, what came out.

Behind one interface (`CampaignStore`) that speaks plain dataclasses and tables; only this package knows SQL. The ledger
is one SQLite file, `campaign.sqlite`, beside the Parquet tables it points to, or a PostgreSQL database that the folder's
`ledger.toml` names: numbers large enough to matter live in those files, never in the ledger. A step counts as finished only
once its outputs exist, so that a killed run resumes; a target that was once held out stays held out.
"""

from perturbloop.store.base import Campaign, CampaignStore, Input, Round, Step, Target, step_key
from perturbloop.store.ledger import create_store, open_store
from perturbloop.store.lock import lock

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
