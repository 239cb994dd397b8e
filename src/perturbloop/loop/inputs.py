"""What every step starts from: the cells of the two states, what a model sees of them, and what is known of their genes."""

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perturbloop import models
from perturbloop.data.annotations import Annotations, read_annotations
from perturbloop.data.cells import Cells, read_cells
from perturbloop.data.gene_mapping import GeneReport
from perturbloop.data.genes import GeneNames
from perturbloop.data.states import StateCells, left_out, mixtures, state_cells
from perturbloop.data.token_files import tokens_of
from perturbloop.data.tokens import Tokens, require_some
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError
from perturbloop.evaluate import require_test, static_pathway
from perturbloop.evaluate.controls import textbook_lines, textbook_of
from perturbloop.evaluate.de import mean_z
from perturbloop.evaluate.gate import require_known_controls
from perturbloop.evidence.background import Background, background_of
from perturbloop.evidence.composition import composition_lines
from perturbloop.evidence.unedited import unedited_lines, without_unedited
from perturbloop.loop.folder import CampaignFolder
from perturbloop.models.view import ModelView
from perturbloop.perturb.ranking import few_cells
from perturbloop.schema import CampaignConfig, Textbook
from perturbloop.store import step_key

if TYPE_CHECKING:
    from perturbloop.perturb.plan import Plan


@dataclass(frozen=True)
class Inputs:
    """Checked input of a campaign."""

    config: CampaignConfig
    """Options and recorded files."""
    states: StateCells
    """Start and goal cells."""
    genes: GeneReport
    """What became of the file's genes."""
    view: ModelView
    """The model, and the cells as it reads them; loaded when it is first asked for."""
    left_out: tuple[str, ...]
    """How many cells of which labels are in neither state."""
    unseen: tuple[str, ...]
    """That the model has not learnt from these cells, where that is known."""
    annotations: Annotations
    """Gene sets and core-essential genes that the evaluation reads."""
    told: str = ""
    """Hash of the trials whose outcome is known."""
    plans: "dict[Any, Plan]" = field(default_factory=dict, init=False)
    """Edits that were listed already, by options and genes."""

    @property
    def cells(self) -> Cells:
        """Start and goal cells."""
        return self.states.cells

    @property
    def vocabulary(self) -> Vocabulary:
        """Genes and tokens of the model."""
        return self.view.vocabulary

    @property
    def names(self) -> GeneNames:
        """Which symbol means which gene, whatever model reads the cells."""
        return self.vocabulary.names

    @property
    def known_genes(self) -> np.ndarray:
        """Ensembl ids of the cells' genes that have a token."""
        return self.cells.gene_ids[
            np.isin(self.cells.gene_ids.astype(str), self.vocabulary.gene_ids.astype(str))
        ]

    @cached_property
    def start_tokens(self) -> Tokens:
        """Encoded start cells: those that are edited."""
        return self.view.tokens.select(np.flatnonzero(~self.states.is_goal_n))

    @property
    def start_donor_n(self) -> np.ndarray | None:
        """Donor of each start cell; `None` without donors."""
        donor_n = self.states.donor_n
        return None if donor_n is None else donor_n[~self.states.is_goal_n]

    def cautions(self) -> list[str]:
        """What a user should know before anything is computed, for it may be a mistake."""
        return [
            *self.cells.warnings,
            *self.left_out,
            *self.unseen,
            *mixtures(self.states, self.config.cells),
            *textbook_lines(self.textbook, self.cells.gene_names, self.cells.source),
            *few_cells(self.config.perturb),
            *self.states.warnings,
        ]

    @cached_property
    def textbook(self) -> Textbook | None:
        """Genes that are known to act in these states: named ones, and those of the stimulus that the states look like."""
        asked = self.config.evaluate
        return textbook_of(
            mean_z(self.cells, self.states.is_goal_n),
            self.cells.gene_names,
            named=asked.positive_controls,
            pathway=asked.pathway,
        )

    @cached_property
    def background(self) -> Background:
        """What collections, gene sets and references say of the genes."""
        known, config = self.annotations, self.config.knowledge
        return background_of(known, self.cells, self.states.start, config=config, names=self.names)

    @cached_property
    def key(self) -> str:
        """Hash of cells, their selection, and model."""
        parts = self.config.cells.decisive | {"seed": self.config.train.seed}
        return step_key("check", config=parts, inputs=[self.cells.digest, self.view.digest])

    @property
    def digests(self) -> dict[str, str]:
        """What every output carries of its origin: hashes of cells, model and vocabulary."""
        return {
            "data_digest": self.cells.digest,
            "model_digest": self.view.digest,
            "vocabulary_digest": self.vocabulary.digest,
        }

    def lines(self) -> list[str]:
        """What `check` says."""
        length, most = self.view.tokens.length_n, self.vocabulary.max_length
        n_goal = int(self.states.is_goal_n.sum())
        return [
            *self.cells.notes,
            *self.genes.lines(),
            f"{self.cells.n_cells - n_goal:,} start and {n_goal:,} goal cells; "
            f"{int((~self.states.train_n).sum()):,} held out; design {self.states.design}"
            + ("" if self.states.donor_n is None else f", {len(set(self.states.donor_n))} donors"),
            f"{int(np.median(length)):,} tokens a cell (median); {float(np.mean(length == most)):.0%} of cells cut at {most:,}",
            *composition_lines(self.states, self.config.cells),
            *unedited_lines(self.states, self.config.cells),
            *self.annotations.lines(),
        ]


def inputs_of(campaign: CampaignFolder) -> Inputs:
    """Read the inputs of a campaign; what was moved since it was made is said to be, with the command that finds it again."""
    config = campaign.config
    for what, path in (*(("cells", path) for path in config.cells.paths), ("model", config.train.model)):
        if path and not Path(path).exists():
            msg = (
                f"This campaign was made with the {what} at `{path}`; nothing is there. Move it back, or say where it is now: "
                f"`perturbloop relocate {campaign.folder} --{what} NEW`."
            )
            raise InputError(msg)
    rows = campaign.store.trials().query("status in ('done', 'failed')")
    told = rows[["gene_id", "hit", "batch"]].astype(str).to_csv(index=False)
    read = read_inputs(config, tokens_in=campaign.folder / "tokens", keeps=campaign.writes)
    return replace(read, told=step_key("told", config={"trials": told}))


def read_inputs(config: CampaignConfig, *, tokens_in: Path | None = None, keeps: bool = False) -> Inputs:
    """Read the cells, and what of the model tells it from others; refuse what cannot be used, before any work.

    Tokens of many cells are looked for in a folder, and kept there if they may be.
    """
    if not config.train.model:
        msg = "A campaign needs a foundation model; none is named. Give its folder with `--model`."
        raise InputError(msg)
    config = replace(config, train=replace(config.train, model=models.found_model(config.train.model)))
    folder, dictionaries, layer = config.train.model, config.train.vocabulary, config.train.emb_layer
    card = models.describe(folder, vocabulary=dictionaries, emb_layer=layer)
    models.require_foundation(card, config.perturb)
    words, asked = card.vocabulary, config.cells
    cells, genes = read_cells(asked.path, names=words.names, gene_column=asked.gene_column, reading=asked)
    states = without_unedited(state_cells(cells, config.cells, seed=config.train.seed), config.cells)
    # Refused now, not after hours of edits: a test that the cells do not allow, unknown controls, an unknown pathway.
    require_test(states.cells, states.is_goal_n, states.donor_n, by=config.evaluate.de)
    require_known_controls(config.evaluate, states.cells, words.names)
    annotations = read_annotations(config, words.names)
    static_pathway(config.evaluate.pathway, (), gene_sets=annotations.gene_sets)
    spare = int(config.perturb.after_delete == "refill")
    tokens = tokens_of(states.cells, words, spare=spare, folder=tokens_in, keeps=keeps)
    require_some(tokens, cells.source)
    load = partial(models.load, folder, vocabulary=dictionaries, emb_layer=layer)
    view = ModelView.of(card, states.cells, tokens, load)
    said = left_out(cells, config.cells), card.cautions(*cells.origins)
    return Inputs(config, states, genes, view, *said, annotations)
