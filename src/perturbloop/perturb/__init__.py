"""In-silico perturbation (ISP): plan every edit, run it, collect the shifts.

An *edit* is one gene changed in one cell: `delete` takes its token out, `overexpress` moves it to the front, `inhibit`
and `activate` move it toward the end or the front by a dose. Sets of genes, pairs and drugs are edited together. Two
policies are named: whether a gene beyond the length limit moves up after a deletion, and whether a gene is put into
cells that do not express it. The *exact* engine encodes every edited cell; the *fast* one screens by gradients and
encodes exactly what decides.
A *shift* is what the edit does to the cell's embedding: the change in cosine similarity to the goal state, and in
the head's logit of the goal state; positive moves the cell toward the goal. Axes: p edits, n cells, d embedding,
s states.
"""
