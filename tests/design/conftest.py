import numpy as np
import pandas as pd
import pytest

from perturbloop.design.known import Known
from perturbloop.evidence.kernels import vector_kernel
from perturbloop.schema import EFFECTS, PREDICTIONS, RANKING, TRIALS, concat

N = 40


def genes():
    return [f"ENSG{place:011}" for place in range(N)]


@pytest.fixture
def ranking():
    """40 genes to inhibit, best first."""
    return RANKING.completed(
        pd.DataFrame(
            {
                "gene_id": genes(),
                "gene_name": [f"G{place}" for place in range(N)],
                "kind": "delete",
                "action": "inhibit",
                "benefit": np.linspace(1, -1, N),
                "status": "scored",
                "ranked_by": "posterior-alone",
                "effect": np.linspace(0.5, -0.5, N),
                "ci_low": -1.0,
                "ci_high": 1.0,
                "detection": 0.5,
                "log2fc": -1.2,
                "de_padj": 0.003,
                "flags": "",
            }
        )
    )


@pytest.fixture
def known(ranking):
    """A round whose posterior knows every gene but the last four, which were measured."""
    posterior = pd.DataFrame(
        {
            "gene_id": genes()[:-4],
            "gene_name": ranking["gene_name"][:-4],
            "kind": "delete",
            "mean": np.linspace(1, -1, N - 4),
            "sd": 0.3,
            "probability": 0.2,
            "threshold": 0.5,
            "neighbors": "+0.21 by JAK2",
        }
    )
    effects = EFFECTS.completed(
        pd.DataFrame(
            {
                "gene_id": genes()[-4:],
                "gene_name": ranking["gene_name"][-4:],
                "modality": "crispri",
                "level": "gene",
                "effect_to_goal": [1.0, 0.8, 0.1, -0.9],
                "se": 0.1,
                "hit": [True, True, False, True],
            }
        )
    )
    pairs = np.repeat(np.eye(N // 2), 2, axis=0)
    return Known(
        ranking=ranking,
        posterior=posterior,
        predictions=concat(PREDICTIONS, []),
        effects=effects,
        kinds=("delete", "overexpress"),
        spent=genes()[-4:],
        trials=concat(TRIALS, []),
        likeness=vector_kernel("pairs", np.array(genes(), dtype=object), pairs),
    )


@pytest.fixture
def unmeasured(known):
    """The same round before anything was measured: the in-silico score ranks."""
    from dataclasses import replace

    scores = known.ranking.assign(method="frozen", fold=-1, score=known.ranking["benefit"])
    return replace(
        known,
        ranking=known.ranking.assign(ranked_by="logit_shift"),
        posterior=known.posterior[:0],
        effects=known.effects[:0],
        predictions=PREDICTIONS.checked(scores),
        spent=(),
    )
