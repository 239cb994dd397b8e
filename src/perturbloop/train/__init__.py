"""From cells and a foundation model to a state classifier.

*Examples* are rows of tokens with a soft label, the probability of the goal state, and a weight. The *open loop* trains
on unperturbed cells of the two states; the *closed loop* adds really perturbed cells, labelled by their state only. Two
levels: `frozen` keeps the encoder and fits a linear head, the default; `full` changes every weight. A *state model* is
the encoder with its readout: goal state and head. `pretrain` makes a small encoder where no published one is at hand.
"""
