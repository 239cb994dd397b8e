"""Which experiments next: what is believed of genes in, a batch out; and finished screens replayed to see whether that pays.

`ask` makes the batch of a round: of the genes that an experiment can be made of, with what to expect, what each choice rests on, and
the plate; `trials` and `calibration` follow a batch that was taken to its outcome.

Surrogates turn measured effects into a `Belief` (`surrogates`), acquisitions choose a batch from it (`registry.ACQUISITIONS`, one
idea in one file), and the mixtures behind `--goal` are in `choice`. `chance` always stands beside the others, because a policy that
cannot beat it has learnt nothing. Experiments that are planned but not measured (*pending*) are closed in the belief, never proposed
twice. `replay` plays policies on a finished screen.
"""
