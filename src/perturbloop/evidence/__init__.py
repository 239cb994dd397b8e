"""What was measured in really perturbed cells, and what it says about the other genes.

The data here:

==========================  =====================================================================================
effects                     table `schema.EFFECTS`: how far each target moved cells toward the goal, in standard
                            deviations of the control cells, with its error
`score.Readout`             a linear state score on genes that two files share; goal positive
`graphs.GeneGraph`          genes and their nearest neighbors, each row of weights sums to 1 (or is empty)
scores                      one number per gene; higher = the edit of this kind moves cells further toward the goal
==========================  =====================================================================================

Effects are kept as they were done in the lab; a graph spreads the effects of one modality at a time, so a
knock-out never becomes evidence about an overexpression. Nothing here knows torch.
"""
