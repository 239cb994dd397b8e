"""What a campaign holds, and what is known of one gene; nothing is written."""

from pathlib import Path

from perturbloop.design.trials import pending
from perturbloop.errors import PerturbloopError
from perturbloop.loop.campaign import stale_steps
from perturbloop.loop.folder import open_campaign
from perturbloop.report import gate_failure
from perturbloop.report.status import Status
from perturbloop.schema import ScreenConfig, name_of


def status(folder: Path | str) -> Status:
    """Say what a campaign holds: rounds, recorded files, what is stale, what comes next."""
    folder = Path(folder)
    with open_campaign(folder) as campaign:
        config, awaited = campaign.config, len(pending(campaign.store.trials()))
        finished = tuple(entry.number for entry in campaign.store.rounds() if entry.finished is not None)
        try:
            stale, problem = stale_steps(campaign), ""
        except (PerturbloopError, OSError) as error:
            stale, problem = (), str(error)
    recorded = [
        f"{name_of(entry)} ({'screen' if isinstance(entry, ScreenConfig) else 'cells'}, {entry.modality})"
        for entry in campaign.config.recorded
    ]
    gate = gate_failure(campaign.round_folder(finished[-1])) if finished else ""
    question = f"Which genes move cells from '{config.cells.start}' to '{config.cells.goal}'"
    return Status(str(folder), question, finished, tuple(recorded), stale, problem, awaited, gate)
