"""Files of cells in, checked arrays out.

A valid input holds **raw integer counts** of **human** genes: AnnData (h5ad or zarr, or an object), loom, or a 10x matrix:

========================  =============================================================================
`X`, `raw` or a layer     raw counts, cells × genes, sparse or dense; the one place that holds whole numbers
`var`                     Ensembl ids or symbols in `ensembl_id`, `gene_id`, `feature_id` or the index
`obs[state_column]`       the state of each cell; at least 20 cells of the start and of the goal
`obs[donor_column]`       the donor, where there are several: the unit of replication
`obs[target_column]`      in a perturbed file: the perturbed gene of each cell, and the control label
========================  =============================================================================

Inside, a gene is an Ensembl id without version; cells are `Cells` (counts and what is known of each cell),
`StateCells` (two states, split into training and held-out cells), `PerturbedCells` and `Tokens` (the rank-value
encoding). Axes: n cells, g genes, t token positions.
"""
