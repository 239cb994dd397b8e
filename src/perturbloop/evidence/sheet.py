"""The cells of a treated file on one sheet: what each had, where it stands, and which vehicle cells it is compared with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from perturbloop.data.arms import ALL, Arms
from perturbloop.data.cell_cycle import cell_cycle
from perturbloop.data.selection import mito_genes
from perturbloop.evidence.matching import Contrast, contrast

LEAST_CELLS = 2
"""Fewest treated cells of a donor on a plate, and fewest vehicle cells beside them."""
Key = tuple[str, float, str]
"""Compound, dose (missing where none is named) and time."""


@dataclass(frozen=True)
class Block:
    """Cells of an arm of one donor and plate, and the vehicle cells they are compared with; positions on the sheet."""

    donor: str
    own: np.ndarray
    vehicle: np.ndarray


@dataclass(frozen=True)
class Sheet:
    """Cells of a file and their scores."""

    arms: Arms
    """The cells."""
    score_nl: Float[np.ndarray, "n l"]
    """Logit of the goal state at each of `levels`; missing where no readout could be trained without the donor."""
    levels: Float[np.ndarray, " l"]
    log_depth_n: Float[np.ndarray, " n"]
    """Log counts of each cell."""
    mito_n: Float[np.ndarray, " n"]
    """Mitochondrial share of the counts; missing where no such gene is measured."""
    phase_n: np.ndarray
    """Phase of the cell cycle, dtype object; '' where it is not told."""

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """`ALL`, then every cell type where there are several."""
        types = sorted({str(one) for one in self.arms.cell_type_n})
        return (ALL, *types) if len(types) > 1 else (ALL,)

    @cached_property
    def groups(self) -> list[Key]:
        """Every compound, dose and time of the start state, in order."""
        codes = np.unique(self._group_n[~self.arms.is_goal_n & ~self._is_vehicle_n])
        return [self._keys[code] for code in codes]

    def rows(self, *, goal: bool, key: Key | None, kind: str = ALL) -> np.ndarray:
        """Positions of the scored cells of an arm; `None` as its key is the vehicle."""
        had_n = self._is_vehicle_n if key is None else self._group_n == self._code_of[_text(key)]
        found_n = had_n & (self.arms.is_goal_n == goal) & self.is_scored_n
        if kind != ALL:
            found_n = found_n & (self._type_n == self.kinds.index(kind) - 1)
        return np.flatnonzero(found_n)

    def blocks(self, own: np.ndarray, kind: str = ALL) -> list[Block]:
        """Split cells by donor and plate, each with the start state's vehicle cells of both, and of the same time where there are any.

        Parameters
        ----------
        own
            Positions of the cells.
        kind
            Cell type of the vehicle cells.
        """
        vehicle, found = self.rows(goal=False, key=None, kind=kind), []
        for place in np.unique(self._place_n[own]):
            here, beside = own[self._place_n[own] == place], vehicle[self._place_n[vehicle] == place]
            times = self.arms.time_n[here]
            for time in np.unique(times.astype(str)):
                at_time = beside[self.arms.time_n[beside] == time]
                compared = at_time if len(at_time) else beside
                if min(int((times == time).sum()), len(compared)) >= LEAST_CELLS:
                    found.append(Block(str(self.arms.donor_n[here[0]]), here[times == time], compared))
        return found

    def compared(self, block: Block) -> Contrast:
        """Scores of a block's cells against those of its vehicle cells."""
        own, vehicle = block.own, block.vehicle
        return contrast(
            self.score_nl[own],
            self.score_nl[vehicle],
            depths=(self.log_depth_n[own], self.log_depth_n[vehicle]),
            strata=(self._stratum_n[own], self._stratum_n[vehicle]),
            types=(self._type_n[own], self._type_n[vehicle]),
            levels=self.levels,
        )

    @cached_property
    def is_scored_n(self) -> Bool[np.ndarray, " n"]:
        """Whether a cell has a score."""
        return np.isfinite(self.score_nl[:, 0])

    @cached_property
    def cycling_n(self) -> Float[np.ndarray, " n"]:
        """1 in S, G2 or M phase, 0 in G1; missing where it is not told."""
        return np.where(self.phase_n == "", np.nan, (self.phase_n != "G1").astype(float))

    @cached_property
    def well_n2(self) -> Float[np.ndarray, "n 2"] | None:
        """Cells counted in each cell's well, or else sequenced; and the part of its well that the cell is. `None` without wells."""
        if self.arms.well_n is None:
            return None
        named = zip(self.arms.donor_n, self.arms.plate_n, self.arms.well_n.astype(str), strict=True)
        code_n = pd.factorize(pd.Series(list(named)))[0]  # wells of several plates have one name
        size = np.bincount(code_n)
        counted_n = size[code_n] if self.arms.recovered_n is None else self.arms.recovered_n
        return np.column_stack([counted_n, 1 / size[code_n]])

    @cached_property
    def goal_vehicles(self) -> dict[str, np.ndarray]:
        """Positions of the goal cells with the vehicle, by donor; under '' those of all donors."""
        rows = self.rows(goal=True, key=None)
        donor_n = self.arms.donor_n[rows]
        return {"": rows} | {str(one): rows[donor_n == one] for one in set(donor_n)}

    @cached_property
    def _is_vehicle_n(self) -> Bool[np.ndarray, " n"]:
        return self.arms.is_vehicle_n

    @cached_property
    def _keyed(self) -> pd.DataFrame:
        keys = {"target": self.arms.target_n, "dose": self.arms.dose_n, "time": self.arms.time_n}
        return pd.DataFrame(keys).assign(is_vehicle=self.arms.is_vehicle_n)

    @cached_property
    def _group_n(self) -> Int[np.ndarray, " n"]:
        """Code of what each cell had, in the order of compound, dose and time."""
        return self._keyed.groupby(["target", "dose", "time"], sort=True, dropna=False).ngroup().to_numpy()

    @cached_property
    def _keys(self) -> list[Key]:
        rows = self._keyed.iloc[np.unique(self._group_n, return_index=True)[1]]
        return [(str(row.target), float(row.dose), str(row.time)) for row in rows.itertuples()]

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {_text(key): code for code, key in enumerate(self._keys)}

    @cached_property
    def _place_n(self) -> Int[np.ndarray, " n"]:
        """Donor and plate of each cell."""
        return (
            pd.DataFrame({"donor": self.arms.donor_n, "plate": self.arms.plate_n})
            .groupby(["donor", "plate"])
            .ngroup()
            .to_numpy()
        )

    @cached_property
    def _type_n(self) -> Int[np.ndarray, " n"]:
        return np.unique(self.arms.cell_type_n.astype(str), return_inverse=True)[1]

    @cached_property
    def _stratum_n(self) -> Int[np.ndarray, " n"]:
        return pd.factorize(pd.Series(self._type_n.astype(str)) + self.phase_n)[0]


def sheet_of(arms: Arms, score_nl: Float[np.ndarray, "n l"], levels: Float[np.ndarray, " l"]) -> Sheet:
    """Lay out the cells of a treated file.

    Parameters
    ----------
    arms
        The cells.
    score_nl
        Score of each cell at each level.
    levels
        Shares of the counts at which cells were read.
    """
    cells, cycle = arms.cells, cell_cycle(arms.cells)
    mito_g = mito_genes(cells.gene_ids, cells.gene_names)
    weight_g2 = np.column_stack([np.ones(cells.n_genes), mito_g])
    total_n2 = np.concatenate([counts_ng @ weight_g2 for counts_ng in cells.blocks()])
    depth_n = np.maximum(total_n2[:, 0], 1.0)
    mito_n = total_n2[:, 1] / depth_n if mito_g.any() else np.full(cells.n_cells, np.nan)
    phase_n = np.full(cells.n_cells, "", dtype=object) if cycle is None else cycle.phase_n
    return Sheet(arms, score_nl, levels, np.log(depth_n), mito_n, phase_n)


def _text(key: Key) -> str:
    """Key as text, in which a missing dose is like another."""
    return repr(key)
