"""The cells that train a state model of the representation channel, and what each level makes of them."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from perturbloop import progress
from perturbloop.data.cells import Cells
from perturbloop.data.encoding import tokenize
from perturbloop.data.states import StateCells
from perturbloop.data.tokens import Tokens
from perturbloop.models.readout import Readout
from perturbloop.models.view import ModelView
from perturbloop.perturb.edit import Target
from perturbloop.schema import Level, TrainConfig, Variant
from perturbloop.stats.streams import stream
from perturbloop.train.classifier import StateModel, goal_state, heldout_auroc, state_head
from perturbloop.train.consistency import Aims, aims_of
from perturbloop.train.examples import Examples, closed_loop, open_loop, same_study
from perturbloop.train.fit import fine_tune


@dataclass(frozen=True)
class PerturbedExamples:
    """Perturbed cells of all recorded files, cut to the genes that every file measures."""

    cells: tuple[Cells, ...]
    target_n: np.ndarray
    """Ensembl id of each cell's target, '' for controls and unmapped targets."""
    label_n: np.ndarray
    """Probability of the goal state."""
    gene_ids: np.ndarray
    """Genes that all files and the state cells measure."""
    digest: str
    """Hash of files and labels."""
    is_control_n: np.ndarray
    """Whether a cell is a control."""
    kind_n: np.ndarray
    """In-silico edit of its target that stands for what was done to each cell, dtype object; '' where none does: that of a
    compound that lowers one gene and raises another."""
    hits: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """All genes that the cells under a target hit, where they are more than the target: those of compounds."""
    target_weights: Mapping[str, float] = field(default_factory=dict)
    """How much a target counts in training, by Ensembl id, for instance how well its guides work; 1 where it is not named.
    Part of `digest` where there are any."""


@dataclass(eq=False)
class TrainingCells:
    """State cells and perturbed cells, encoded alike: cut to the shared genes, so that panel and state cannot be confounded.

    It remembers what it embedded: arms share most of their cells.
    """

    states: StateCells
    """Start and goal cells."""
    view: ModelView
    """Foundation model as it came, and the same cells encoded with all their genes."""
    config: TrainConfig
    """How it is fine-tuned."""
    perturbed: PerturbedExamples
    """Cells of the recorded files."""
    _known: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def unperturbed(self) -> Tokens:
        """Start and goal cells."""
        return tokenize(self.states.cells.restrict(self.perturbed.gene_ids), self.view.vocabulary)

    @cached_property
    def held_out(self) -> Examples:
        """Start and goal cells that train nothing, both states with the same weight: they choose the epoch that is kept."""
        check_n, config = ~self.states.train_n, self.config
        return open_loop(
            self.unperturbed.select(check_n),
            self.states.is_goal_n[check_n],
            max_cells=config.max_cells,
            rng=stream(config.seed, "cells that choose the epoch"),
        )

    @cached_property
    def study(self) -> Tokens:
        """Perturbed and control cells of all files."""
        words = self.view.vocabulary
        parts = [tokenize(cells.restrict(self.perturbed.gene_ids), words) for cells in self.perturbed.cells]
        rows = [row for part in parts for row in part.rows()]
        return Tokens.of_rows(rows, has_cls=words.has_cls)

    def embedded(self, tokens: Tokens) -> np.ndarray:
        """Embeddings by the model as it came; a row is encoded once, however many arms ask for it."""
        rows = tokens.rows()
        keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self.view.token_model.embed(list(new.values())), strict=True))
        return np.stack([self._known[key] for key in keys])

    def examples(
        self, variant: Variant, training: Collection[str], held_out: Collection[str]
    ) -> tuple[Examples, np.random.Generator]:
        """Cells of one arm, and the random numbers to go on with.

        Parameters
        ----------
        variant
            Which cells train: unperturbed ones alone (`open`), perturbed ones beside them (`closed`), these with shuffled labels
            (`shuffled`), or controls of the study in their place (`unperturbed`).
        training, held_out
            Targets whose perturbed cells may train, and those that will be scored; read where perturbed cells train.
        """
        config, states, perturbed = self.config, self.states, self.perturbed
        rng = np.random.default_rng([config.seed, 2])
        train, is_goal_n = self.unperturbed.select(states.train_n), states.is_goal_n[states.train_n]
        unperturbed = open_loop(train, is_goal_n, max_cells=config.max_cells, rng=rng)
        share = config.perturbed_share
        if variant == "open":
            return unperturbed, rng
        if variant == "unperturbed":
            is_control_n = perturbed.is_control_n
            most = int(((perturbed.target_n != "") & np.isfinite(perturbed.label_n)).sum())
            # Where labels come from a source that says nothing of controls, these are what they stand for: start cells.
            label_n = np.where(is_control_n & np.isnan(perturbed.label_n), 0.0, perturbed.label_n)
            found = same_study(
                unperturbed, self.study, label_n, is_control_n, most=most, share=share, rng=rng
            )
            return found, rng
        found = closed_loop(
            unperturbed,
            self.study,
            perturbed.label_n,
            perturbed.target_n,
            training=training,
            held_out=held_out,
            share=share,
            rng=rng,
            shuffled=variant == "shuffled",
            hits=perturbed.hits,
            target_weights=perturbed.target_weights,
        )
        return found, rng

    def aims(self, examples: Examples, rng: np.random.Generator) -> Aims | None:
        """Edited control cells for the consistency loss; `None` where it is off or no target trains.

        Only targets that one edit stands for are asked: all their cells had the same done to this gene, and to no other.
        """
        if not (self.config.consistency and examples.spent):
            return None
        words, perturbed = self.view.vocabulary, self.perturbed
        edit_of = {}
        for target in examples.spent:
            kinds = set(perturbed.kind_n[perturbed.target_n == target])
            alone = not perturbed.hits.get(target, frozenset()) - {target}
            place = words.position.get(target)
            if place is not None and alone and len(kinds) == 1 and "" not in kinds:
                edit_of[target] = Target(int(words.tokens[place]), kinds.pop())
        controls = self.study.select(perturbed.is_control_n)
        return aims_of(examples, controls, edit_of, limit=words.max_length, rng=rng)


def train_level(
    cells: TrainingCells,
    level: Level,
    variant: Variant,
    *,
    training: Collection[str] = (),
    held_out: Collection[str] = (),
    title: str = "train",
) -> StateModel:
    """Train the state model of one arm.

    Parameters
    ----------
    cells
        State cells and perturbed cells.
    level
        What is trained: the head alone, adapters, or everything.
    variant
        Which cells it is trained on.
    training, held_out
        Targets whose cells may train it, and those it will be judged on.
    title
        What progress calls it.

    Notes
    -----
    Edits are made in whole cells, so goal state and check are read from whole cells too.
    """
    states = cells.states
    examples, rng = cells.examples(variant, training, held_out)
    model, adapter = cells.view.token_model, None
    if level == "frozen":
        emb_nd = cells.view.emb_nd
        weight_d, bias = state_head(cells.embedded(examples.tokens), examples.label_n, examples.weight_n)
    else:
        tuned = fine_tune(
            model,
            examples,
            cells.config,
            level=level,
            aims=cells.aims(examples, rng),
            held_out=cells.held_out if cells.config.keep_epoch == "best" else None,
            on_step=lambda step, steps, _: progress.tell(title, step, steps),
        )
        model, weight_d, bias, adapter = tuned.model, tuned.weight_d, tuned.bias, tuned.adapter
        emb_nd = model.embed(cells.view.tokens.rows())
    readout = Readout(goal_state(emb_nd, states.is_goal_n & states.train_n), weight_d, bias)
    auroc = heldout_auroc(readout, emb_nd, states.is_goal_n, states.train_n)
    return StateModel(model, readout, auroc, len(examples.label_n), adapter)
