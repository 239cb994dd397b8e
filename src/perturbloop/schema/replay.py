"""Tables of a replayed screen."""

from perturbloop.schema.columns import Column, Table

_POLICY = (
    Column(
        "policy",
        "surrogate, and after a colon its goal or acquisition where that is not `find`; or a control",
        "ridge",
    ),
    Column("control", "whether it stands beside the policies that were asked for", False),
)

REPLAY = Table(
    "replay",
    "one policy after one round of one repeat",
    (
        *_POLICY,
        Column("repeat", "0 = first", 0),
        Column("round", "1 = first", 5),
        Column("n_measured", "genes measured so far", 640),
        Column("hits", "hits among them", 118),
        Column("hit_ratio", "the same as a share of all hits of the screen, 0 to 1", 0.128),
        Column(
            "hit_ratio_other",
            "share found of the hits that are not core-essential; missing without any",
            0.131,
        ),
        Column(
            "strict_recall",
            "share found of the hits of FDR < 0.05 among expressed genes; missing where none is known",
            0.28,
        ),
    ),
)

REPLAY_MEANS = Table(
    "replay_means",
    "one policy after one round, mean of all repeats",
    (
        *_POLICY,
        Column("round", "1 = first", 5),
        Column("n_measured", "genes measured so far", 640),
        Column("hits", "mean number of hits among them", 117.6),
        Column("hit_ratio", "mean share of all hits of the screen, 0 to 1", 0.128),
        Column("sd", "standard deviation of that share over repeats; missing with one repeat", 0.012),
        Column("hit_ratio_other", "mean share found of the hits that are not core-essential", 0.131),
        Column("strict_recall", "mean share found of the hits of FDR < 0.05 among expressed genes", 0.28),
        Column("n_repeats", "repeats behind the means", 10),
    ),
)
