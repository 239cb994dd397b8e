"""In-silico perturbation (ISP): plan every edit, run it, collect the shifts.

An *edit* is one gene changed in one cell: `delete` takes its token out, `overexpress` moves it to the front. Later
genes move up after a deletion; a gene beyond the length limit stays out. Only genes a cell expresses are edited.
A *shift* is what the edit does to the cell's embedding: the change in cosine similarity to the goal state, and in
the head's logit of the goal state; positive moves the cell toward the goal. Axes: p edits, n cells, d embedding,
s states.
"""
