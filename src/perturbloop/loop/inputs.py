"""What every step starts from: the model, the cells of the two states, and their tokens."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.genes import GeneReport
from perturbloop.data.states import StateCells, state_cells
from perturbloop.data.tokens import Tokens, tokenize
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import GeneIdError, InputError, closest, some
from perturbloop.evaluate import chosen_test, static_pathway
from perturbloop.loop.annotations import Annotations, read_annotations
from perturbloop.models.geneformer import Geneformer, load_geneformer
from perturbloop.schema import CampaignConfig, EvaluateConfig
from perturbloop.store import step_key


@dataclass(frozen=True)
class Inputs:
    """Checked input of a campaign."""

    config: CampaignConfig
    model: Geneformer
    states: StateCells
    genes: GeneReport
    tokens: Tokens
    """Encoded start and goal cells."""
    annotations: Annotations
    """Gene sets and core-essential genes that the evaluation reads."""

    @property
    def cells(self) -> Cells:
        """Start and goal cells."""
        return self.states.cells

    @cached_property
    def key(self) -> str:
        """Hash of cells, their selection, and model."""
        parts = self.config.to_dict()["cells"] | {"path": "", "seed": self.config.train.seed}
        return step_key("check", config=parts, inputs=[self.cells.digest, self.model.digest])

    @cached_property
    def emb_nd(self) -> np.ndarray:
        """Embeddings of all start and goal cells by the model as it came."""
        return embed(self.model, self.tokens)

    def lines(self) -> list[str]:
        """What `check` says."""
        length = self.tokens.length_n
        n_goal = int(self.states.is_goal_n.sum())
        return [
            *self.genes.lines(),
            f"{self.cells.n_cells - n_goal:,} start and {n_goal:,} goal cells; "
            f"{int((~self.states.train_n).sum()):,} held out; design {self.states.design}"
            + ("" if self.states.donor_n is None else f", {len(set(self.states.donor_n))} donors"),
            f"{int(np.median(length)):,} tokens a cell (median); "
            f"{float(np.mean(length == self.model.vocabulary.max_length)):.0%} of cells cut at "
            f"{self.model.vocabulary.max_length:,}",
            *self.annotations.lines(),
        ]


def read_inputs(config: CampaignConfig) -> Inputs:
    """Read model and cells and refuse what cannot be used, before any work."""
    if not config.train.model:
        msg = "A campaign needs a foundation model; none is named. Give its folder with `--model`."
        raise InputError(msg)
    model = load_geneformer(
        config.train.model, vocabulary=config.train.vocabulary, emb_layer=config.train.emb_layer
    )
    cells, genes = read_cells(
        config.cells.path, vocabulary=model.vocabulary, gene_column=config.cells.gene_column
    )
    states = state_cells(cells, config.cells, seed=config.train.seed)
    chosen_test(
        states.is_goal_n, states.donor_n, by=config.evaluate.de
    )  # refused now, not after hours of edits
    spare = int(config.perturb.after_delete == "refill")
    tokens = tokenize(states.cells, model.vocabulary, spare=spare)
    empty = int((tokens.length_n <= 2 * tokens.has_cls).sum())
    if empty:
        msg = (
            f"Each cell of {cells.source} needs at least one gene with a token; {empty:,} start or goal cells have none. "
            "Remove cells without counts."
        )
        raise InputError(msg)
    _require_known_controls(config.evaluate, states.cells, model.vocabulary)
    annotations = read_annotations(config.evaluate, model.vocabulary)
    static_pathway(config.evaluate.pathway, (), gene_sets=annotations.gene_sets)
    return Inputs(config, model, states, genes, tokens, annotations)


def _require_known_controls(config: EvaluateConfig, cells: Cells, vocabulary: Vocabulary) -> None:
    """A control that is misspelt would only be missed once all edits were made."""
    known = {str(name) for name in (*cells.gene_names, *vocabulary.gene_names)}
    for option in ("positive_controls", "negative_controls"):
        named = [entry.partition(":")[0] for entry in getattr(config, option)]
        unknown = [name for name in named if name not in known]
        if unknown:
            msg = (
                f"`{option}` must be symbols of genes; neither {cells.source} nor the vocabulary knows {some(unknown)}. Correct "
                f"them; the closest to the first is {closest(unknown[0].upper(), sorted(known), limit=1)}."
            )
            raise GeneIdError(msg)


def embed(model: Geneformer, tokens: Tokens) -> np.ndarray:
    """Embeddings of encoded cells, in their order."""
    return model.embed([tokens.row(cell) for cell in range(tokens.n_cells)])
