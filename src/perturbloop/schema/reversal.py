"""The tables of a treated file with arms: where each cell stands, and how far each compound brings cells back."""

from perturbloop.schema.columns import Column, Table

POSITIONS = Table(
    "positions",
    "one cell of a treated file with cells of both states",
    (
        Column("cell", "name of the cell in the file", "AAACCTGAGAAACCAT-1"),
        Column("arm", "its state: the campaign's start (disease) or goal (control)", "RUNX1-KO"),
        Column("target", "compound, or the label of the vehicle", "rapamycin"),
        Column("dose", "dose, in the unit of the file; missing for the vehicle", 1.0),
        Column("time", "time under treatment, as in the file; `all` where none is named", "48"),
        Column("plate", "replicate; `all` where none is named", "plate 1"),
        Column("donor", "donor; `all` where none is named", "donor 1"),
        Column("cell_type", "cell type; `all` where none is named", "stem cell"),
        Column(
            "phase",
            "phase of the cell cycle: G1, S or G2M; empty where too few of its genes are measured",
            "G1",
        ),
        Column("n_counts", "counts of the cell", 4120),
        Column(
            "position",
            "place on the axis read by a classifier that never saw the donor: 0 = mean of the start cells with the vehicle of the same "
            "donor and plate, 1 = of the goal cells with the vehicle; missing where no classifier could be trained without the donor",
            0.34,
        ),
        Column("source", "file", "screen.h5ad"),
    ),
    optional=("source",),
)

REVERSAL = Table(
    "reversal",
    "one compound at one dose and time in all cells of the start state, or in those of one cell type",
    (
        Column("target", "compound", "rapamycin"),
        Column("dose", "dose, in the unit of the file; missing where none is named", 1.0),
        Column("time", "time under treatment, as in the file; `all` where none is named", "48"),
        Column("cell_type", "cell type; `all` = the whole sample", "all"),
        Column(
            "share",
            "share of the way back, matched: positive = toward the goal, 1 = as the goal cells with the vehicle; start cells are compared "
            "with vehicle cells of their donor and plate at equal depth, in the same phases and of the same types",
            0.42,
        ),
        Column(
            "ci_low", "lower end of its 95 % interval over donors (Student's t); missing with one donor", 0.3
        ),
        Column("ci_high", "upper end", 0.54),
        Column("share_raw", "share of the way back as it is, nothing matched", 0.5),
        Column("raw_ci_low", "lower end of its 95 % interval over donors", 0.4),
        Column("raw_ci_high", "upper end", 0.6),
        Column("from_composition", "what the change of composition alone would make of `share_raw`", 0.02),
        Column("composition", "share of the arm's cells that are of this type, 0 to 1", 0.55),
        Column("composition_vehicle", "the same of the start cells with the vehicle", 0.5),
        Column(
            "recovered",
            "cells recovered per well, relative to the vehicle of the plate; missing without wells",
            0.9,
        ),
        Column("depth", "counts a cell, relative to the vehicle (geometric mean)", 1.0),
        Column(
            "cycling",
            "share of cells in S, G2 or M phase; missing where too few of their genes are measured",
            0.4,
        ),
        Column("cycling_vehicle", "the same of the start cells with the vehicle", 0.5),
        Column(
            "mito",
            "mean mitochondrial share of a cell's counts; missing where no such gene is measured",
            0.04,
        ),
        Column("mito_vehicle", "the same of the start cells with the vehicle", 0.04),
        Column("n_cells", "treated cells behind the row", 144),
        Column("n_vehicle", "vehicle cells they are compared with", 576),
        Column("n_donors", "donors behind the row", 6),
        Column(
            "flags",
            "separated by commas: toxic, and by which signs (few cells, shallow, arrested, mitochondrial); composition only; unmatched (no "
            "vehicle cell of the same phase and type)",
            "toxic, few cells",
        ),
        Column("source", "file", "screen.h5ad"),
    ),
    optional=("source",),
)
