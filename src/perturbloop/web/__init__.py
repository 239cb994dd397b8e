"""A campaign in a browser: what `perturbloop serve` shows and takes.

Six pages, one idea each: overview, ranking, gene, evidence, next batch, record. A page is a function of the last finished round and of the
ledger; the tables and sentences are those of `perturbloop.report`, whose templates it shares. The server imports neither torch nor a model:
what needs them is a command of perturbloop in a process of its own. Every page has a twin for machines, at the same address with `.json` or
`.csv` at its end, and the state of a view stands in its address.
"""
