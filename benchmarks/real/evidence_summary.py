"""What `evidence.py` found, in tables and one figure: means over panels, and paired differences with intervals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from perturbloop.plots.theme import BLUE, GRAY, GREEN, ORANGE, figure, label_rows, tidy

KEY = ["rule", "score", "network", "effects"]
Key = tuple[str, str, str, str]
BY_SKILL = "network of most skill"
"""For each panel the one network whose leave-one-out skill is largest."""
ALL, REACTOME = "all networks", "Reactome"
GENES = ("all", "pathway-disjoint", "outside TCR/CD28", "never measured")
PAIRED = ("all", "outside TCR/CD28")
"""Genes whose paired differences the summary prints; the table has all."""
COLORS = {"random": GRAY, "hit-enriched": ORANGE, "coverage": BLUE}


@dataclass(frozen=True)
class Difference:
    """A mean difference over panels, and how sure it is."""

    value: float
    """Mean over panels; positive = the first is better."""
    low: float
    high: float
    """95 % interval of the two-level bootstrap, over panels and hits."""
    panels_low: float
    panels_high: float
    """95 % interval over panels only: the hits are taken as given."""
    share_better: float
    """Share of panels in which the first is better."""
    n_panels: int
    """Panels that judge at least one hit."""


def alone(score: str) -> Key:
    """A score that uses no evidence."""
    return ("alone", score, "", "")


def rows(network: str) -> dict[str, Key]:
    """Rows of the main tables: title to method."""
    return {
        "chance, a draw per panel": alone("chance"),
        "expression": alone("expression"),
        "static pathway × expression": alone("static pathway"),
        "annotation degree": alone("annotation degree"),
        "signed DE": alone("DE"),
        "absolute DE": alone("|DE|"),
        "ISP": alone("ISP"),
        "ISP of an untrained model": alone("untrained ISP"),
        f"propagation on {REACTOME}": ("simple", "nothing", REACTOME, "true"),
        "… effects permuted": ("simple", "nothing", REACTOME, "permuted"),
        "z(ISP) + z(propagation)": ("simple", "ISP", REACTOME, "true"),
        "z(DE) + z(propagation)": ("simple", "DE", REACTOME, "true"),
        "z(static pathway) + z(propagation)": ("simple", "static pathway", REACTOME, "true"),
        "posterior without a network": ("posterior", "nothing", "no network", "true"),
        f"posterior, {network}": ("posterior", "nothing", network, "true"),
        "… effects permuted ": ("posterior", "nothing", network, "permuted"),
        "… + ISP": ("posterior", "ISP", network, "true"),
        "… + ISP, effects permuted": ("posterior", "ISP", network, "permuted"),
        "… + ISP of other genes": ("posterior", "ISP of other genes", network, "true"),
        "… + ISP by its skill": ("posterior", "ISP, by skill", network, "true"),
        "… + DE": ("posterior", "DE", network, "true"),
        "… + DE by its skill": ("posterior", "DE, by skill", network, "true"),
        "… + static pathway": ("posterior", "static pathway", network, "true"),
        "… + static pathway by its skill": ("posterior", "static pathway, by skill", network, "true"),
        "… + static pathway, effects permuted": ("posterior", "static pathway", network, "permuted"),
        "donor 1's own screen (ceiling)": alone("donor 1's own screen"),
    }


def comparisons(rule: str, network: str) -> dict[str, tuple[Key, Key]]:
    """Questions, each a method and what it is compared with."""

    def method(score: str, effects: str = "true") -> Key:
        return (rule, score, network, effects)

    static = alone("static pathway")
    return {
        "ISP + graph − DE + graph": (method("ISP"), method("DE")),
        "ISP + graph − graph": (method("ISP"), method("nothing")),
        "ISP + graph − ISP of other genes + graph": (method("ISP"), method("ISP of other genes")),
        "ISP by its skill + graph − graph": (method("ISP, by skill"), method("nothing")),
        "ISP + graph − static pathway × expression": (method("ISP"), static),
        "graph − static pathway × expression": (method("nothing"), static),
        "graph − expression": (method("nothing"), alone("expression")),
        f"graph − propagation on {REACTOME}": (method("nothing"), ("simple", "nothing", REACTOME, "true")),
        "static + graph − static pathway × expression": (method("static pathway"), static),
        "static by its skill + graph − static pathway × expression": (
            method("static pathway, by skill"),
            static,
        ),
        "graph: true − permuted effects": (method("nothing"), method("nothing", "permuted")),
        "ISP + graph: true − permuted effects": (method("ISP"), method("ISP", "permuted")),
        "static + graph: true − permuted effects": (
            method("static pathway"),
            method("static pathway", "permuted"),
        ),
    }


def contrasts(results: pd.DataFrame, *, n_samples: int, seed: int = 0) -> pd.DataFrame:
    """Paired differences in AUROC for hits toward, for every network, panel rule, size and set of genes."""
    found = []
    for (how, k, genes), part in results[results["k"] > 0].groupby(["how", "k", "genes"]):
        places = _by_method(part)
        networks = sorted({key[2] for key in places} - {""})
        for rule in ("posterior", "simple"):
            for network in networks:
                for question, (own, other) in comparisons(rule, network).items():
                    if own != other and own in places and other in places:
                        drawn = paired(places[own] - places[other], n_samples=n_samples, seed=seed)
                        names = {"how": how, "k": k, "genes": genes, "rule": rule, "network": network}
                        found.append(names | {"question": question} | vars(drawn))
    return pd.DataFrame(found)


def paired(difference_ph: Float[np.ndarray, "p h"], *, n_samples: int, seed: int) -> Difference:
    r"""Mean difference of two methods, with an interval over panels and hits.

    Parameters
    ----------
    difference_ph
        Panels × hits: share of other genes below the hit by one method minus that by the other; missing where the hit is not
        judged, because it was measured. The mean of a row is the difference of the two AUROCs.
    n_samples, seed
        Bootstrap samples, and the start of the random numbers.

    Notes
    -----
    The panels share their hits, so an interval over panels alone only says how far the choice of panel matters; with hits drawn
    again as well it says what other genes of the same kind might have shown. Other genes are some 11,600 and add nothing to
    the error that could be seen.

    Examples
    --------
    >>> found = paired(np.tile([0.1, 0.3], (5, 1)), n_samples=200, seed=0)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2), round(found.panels_low, 2)
    (0.2, 0.1, 0.3, 0.2)
    """
    rng = np.random.default_rng(seed)
    judged_ph = ~np.isnan(difference_ph)
    judged_ph, difference_ph = judged_ph[judged_ph.any(axis=1)], difference_ph[judged_ph.any(axis=1)]
    n_panels, n_hits = difference_ph.shape
    if not n_panels:
        return Difference(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    by_panel = np.nanmean(difference_ph, axis=1)
    hits_bh = rng.multinomial(n_hits, np.full(n_hits, 1 / n_hits), size=n_samples)
    panels_bp = rng.multinomial(n_panels, np.full(n_panels, 1 / n_panels), size=n_samples)
    n_judged_bp = hits_bh @ judged_ph.T
    mean_bp = (hits_bh @ np.nan_to_num(difference_ph).T) / np.maximum(n_judged_bp, 1)
    weight_bp = panels_bp * (n_judged_bp > 0)
    sample = (weight_bp * mean_bp).sum(axis=1) / np.maximum(weight_bp.sum(axis=1), 1)
    low, high = np.percentile(sample[weight_bp.any(axis=1)], [2.5, 97.5])
    panels_low, panels_high = np.percentile(panels_bp @ by_panel / n_panels, [2.5, 97.5])
    value, share = float(by_panel.mean()), float((by_panel > 0).mean())
    return Difference(value, float(low), float(high), float(panels_low), float(panels_high), share, n_panels)


def summarize(results: pd.DataFrame, skills: pd.DataFrame, found: pd.DataFrame) -> str:
    """All tables, as Markdown."""
    parts = [
        "# Does the model add anything to the evidence?",
        "## Without evidence (k = 0)",
        _markdown(_scores(results)),
    ]
    for (how, k), part in results[results["k"] > 0].groupby(["how", "k"]):
        here = found[found["how"].eq(how) & found["k"].eq(k)]
        measured = skills[skills["how"].eq(how) & skills["k"].eq(k)].drop_duplicates("seed")["measured_hits"]
        parts += [
            f"## {how} panels, k = {k}",
            _heading(part, float(measured.mean())),
            _markdown(_main(part)),
            "### Networks",
            _markdown(_networks(part, skills[skills["how"].eq(how) & skills["k"].eq(k)])),
            "### Paired differences in AUROC (95 % interval over panels and hits; over panels alone; share of panels better)",
            *(
                f"{rule}, {network}\n\n" + _markdown(_questions(here, rule, network))
                for rule, network in (("posterior", ALL), ("posterior", REACTOME), ("simple", REACTOME))
            ),
        ]
    return "\n\n".join(parts) + "\n"


def draw(results: pd.DataFrame) -> Figure:
    """AUROC for hits toward, mean and standard deviation over panels, at the smaller and the larger size."""
    sizes = sorted(set(results["k"]) - {0})
    shown = {title: key for title, key in rows(ALL).items() if key[1] != "chance"}
    drawn = figure(11, 0.34 * len(shown) + 1.6)
    axes = drawn.subplots(1, 2 * len(sizes), sharey=True).ravel()
    views = [(k, genes) for genes in ("all", "outside TCR/CD28") for k in sizes]
    for ax, (k, genes) in zip(axes, views, strict=True):
        for shift, (how, color) in zip((-0.22, 0.0, 0.22), COLORS.items(), strict=True):
            part = results[results["how"].eq(how) & results["k"].eq(k) & results["genes"].eq(genes)]
            spread = (
                part.groupby(KEY)["auroc"]
                .agg(["mean", "std"])
                .reindex(pd.MultiIndex.from_tuples(shown.values()))
            )
            place = np.arange(len(shown)) + shift
            ax.errorbar(
                spread["mean"], place, xerr=spread["std"], fmt="o", ms=3, lw=0.8, color=color, label=how
            )
        ax.axvline(0.5, color=GREEN, lw=0.8, ls=":")
        tidy(ax, title=f"{genes}, k = {k}", x="AUROC")
    label_rows(axes[0], list(shown))
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return drawn


def _by_method(part: pd.DataFrame) -> dict[Key, np.ndarray]:
    """Per method its places, panels × hits, panels in the order of their seeds."""
    ordered = part.sort_values("seed", kind="stable")
    return {key: np.stack(list(group["places"])) for key, group in ordered.groupby(KEY)}  # type: ignore[misc]


def _heading(part: pd.DataFrame, measured_hits: float) -> str:
    one = part[part["rule"].eq("alone") & part["score"].eq("expression")].groupby("genes")
    counts = [f"{genes} {one.get_group(genes)['n_hits'].mean():.1f}" for genes in GENES]
    return f"Hits of donor 1 in the panel: {measured_hits:.1f}. Hits toward to find, mean over panels: {', '.join(counts)}."


def _scores(results: pd.DataFrame) -> pd.DataFrame:
    part = results[results["k"] == 0]
    wide = part.pivot_table("auroc", index="score", columns="genes", sort=False).add_prefix("AUROC, ")
    whole = part[part["genes"] == "all"].set_index("score")
    return wide.join(whole[["average_precision", "precision", "auroc_away"]]).round(3).reset_index()


def _main(part: pd.DataFrame) -> pd.DataFrame:
    stats = part.groupby([*KEY, "genes"])[["auroc", "average_precision", "precision", "auroc_away"]].agg(
        ["mean", "std"]
    )
    lines = []
    for title, key in rows(ALL).items():
        line: dict[str, object] = {"method": title.strip()}
        line |= {f"AUROC, {genes}": _spread(stats.loc[(*key, genes), "auroc"]) for genes in GENES}
        whole = stats.loc[(*key, "all")]
        line |= {
            "average precision": _spread(whole["average_precision"], digits=3),
            "precision at 50": _spread(whole["precision"], digits=3),
            "AUROC, away": _spread(whole["auroc_away"]),
        }
        lines.append(line)
    return pd.DataFrame(lines)


def _networks(part: pd.DataFrame, skills: pd.DataFrame) -> pd.DataFrame:
    """Skill of each network, how often it is listened to, and what it gives by itself; below, the skill of scores."""
    stats = part[part["genes"] == "all"].groupby(KEY)["auroc"].agg(["mean", "std"])
    outside = part[part["genes"] == "outside TCR/CD28"].groupby(KEY)["auroc"].agg(["mean", "std"])
    lines, scores = [], []
    names = list(dict.fromkeys(skills["network"]))
    true, permuted = (skills[skills["effects"] == effects] for effects in ("true", "permuted"))
    linked = [name for name in names if ("simple", "nothing", name, "true") in stats.index]
    true_networks = true[true["network"].isin(linked)]
    best = true_networks.loc[true_networks.groupby("seed")["skill"].idxmax(), "network"].value_counts(
        normalize=True
    )
    for name in names:
        own = true.loc[true["network"] == name, "skill"]
        control = permuted.loc[permuted["network"] == name, "skill"]
        line = {
            "network": name,
            "skill": f"{own.mean():+.2f} ± {own.std():.2f}",
            "full weight (skill ≥ 1)": f"{(own >= 1).mean():.0%}",
            "… effects permuted": f"{(control >= 1).mean():.0%}",
        }
        if name not in linked:
            scores.append(line)
            continue
        lines.append(
            line
            | {
                "most skill": f"{best.get(name, 0):.0%}",
                "propagation": _spread(stats.loc[("simple", "nothing", name, "true")]),
                "posterior": _spread(stats.loc[("posterior", "nothing", name, "true")]),
                "posterior + ISP": _spread(stats.loc[("posterior", "ISP", name, "true")]),
                "posterior + DE": _spread(stats.loc[("posterior", "DE", name, "true")]),
                "posterior, outside TCR/CD28": _spread(outside.loc[("posterior", "nothing", name, "true")]),
            }
        )
    return pd.DataFrame([*lines, *_by_skill(part, true_networks), *scores]).fillna("")


def _by_skill(part: pd.DataFrame, skills: pd.DataFrame) -> Iterator[dict[str, object]]:
    """The row of the network that each panel's own effects choose."""
    chosen = skills.loc[skills.groupby("seed")["skill"].idxmax(), ["seed", "network"]]
    taken = part[part["effects"] == "true"].merge(chosen, on=["seed", "network"])
    stats = taken[taken["genes"] == "all"].groupby(["rule", "score"])["auroc"].agg(["mean", "std"])
    outside = (
        taken[taken["genes"] == "outside TCR/CD28"].groupby(["rule", "score"])["auroc"].agg(["mean", "std"])
    )
    yield {
        "network": BY_SKILL,
        "skill": "",
        "full weight (skill ≥ 1)": "",
        "… effects permuted": "",
        "most skill": "",
        "propagation": _spread(stats.loc[("simple", "nothing")]),
        "posterior": _spread(stats.loc[("posterior", "nothing")]),
        "posterior + ISP": _spread(stats.loc[("posterior", "ISP")]),
        "posterior + DE": _spread(stats.loc[("posterior", "DE")]),
        "posterior, outside TCR/CD28": _spread(outside.loc[("posterior", "nothing")]),
    }


def _questions(found: pd.DataFrame, rule: str, network: str) -> pd.DataFrame:
    part = found[found["rule"].eq(rule) & found["network"].eq(network)]
    text = [
        f"{row.value:+.2f} ({row.low:+.2f} to {row.high:+.2f}); {row.panels_low:+.2f} to {row.panels_high:+.2f}; {row.share_better:.0%}"
        for row in part.itertuples()
    ]
    wide = part.assign(text=text).pivot_table(
        "text", index="question", columns="genes", aggfunc="first", sort=False
    )
    return wide.reindex(columns=list(PAIRED)).reset_index()


def _spread(stats: pd.Series, *, digits: int = 2) -> str:
    return f"{stats['mean']:.{digits}f} ± {stats['std']:.{digits}f}"


def _markdown(table: pd.DataFrame) -> str:
    lines = [
        [str(name) for name in table.columns],
        ["---"] * table.shape[1],
        *table.astype(str).to_numpy().tolist(),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
