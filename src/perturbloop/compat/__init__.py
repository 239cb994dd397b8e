"""The ways of the published Geneformer tool, in one room: to read its files, to repeat its runs, to compare with it.

It speaks the tool's own nouns. *Tokenized cells* are a `.dataset` folder (`datasets`), *state embeddings* and *raw shifts*
are pickles (`pickles`, `raw_shifts`), the *goal-state table* is a CSV file with one row per gene (`goal_state`). Tokenizing
(`tokenizer`) and in-silico perturbation (`shifts`) repeat its order of cells and its cutting at the length limit under
`compat="geneformer"`. Nothing here is needed to play a campaign on one's own cells, and nothing that it speaks is a pickle
of ours: files are read by a reader that builds numbers and tensors and runs no code.
"""
