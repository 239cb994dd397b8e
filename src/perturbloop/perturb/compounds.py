"""What is asked of `combine`; compounds in silico: the whole signed vector of targets, each moved as far as the compound acts on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perturbloop.data.compounds import Compound, named, read_compounds
from perturbloop.data.vocabulary import Vocabulary
from perturbloop.errors import InputError, closest, some
from perturbloop.perturb.asked import Combination, read_perturbations, singles
from perturbloop.perturb.asked import pairs as all_pairs
from perturbloop.perturb.edit import Perturbation, Target


def asked_for(
    path_or_genes: Path | str | Sequence[str],
    vocabulary: Vocabulary,
    *,
    kind: str = "delete",
    dose: float = 1.0,
    pairs: bool = False,
    skip_unknown: bool = False,
    compounds: bool = False,
    only: Sequence[str] = (),
    dose_um: float | None = None,
) -> tuple[Perturbation, ...]:
    """Perturbations that are asked for: those of a file, or of a list of genes.

    Parameters
    ----------
    path_or_genes
        File of gene sets (`.gmt`), genes (`.txt`) or pairs and drugs (`.tsv`), of compounds, or a list of genes.
    vocabulary
        Genes and tokens of the model.
    kind, dose
        Edit of the genes, where the file does not say.
    pairs
        Whether to edit all pairs of a list of genes, rather than one by one.
    skip_unknown
        Whether names that nobody knows count as missing genes; else they are refused. Pairs are made of the known ones.
    compounds, only, dose_um
        Whether the file is of compounds and targets, which of them, and their concentration (`compounds_asked`).
    """
    is_file = isinstance(path_or_genes, (str, Path))
    if compounds and is_file:
        return compounds_asked(str(path_or_genes), vocabulary, only=only, dose_um=dose_um)
    if compounds or only or dose_um is not None:
        msg = (
            "`--only` and `--dose-um` are of compounds, which come as a file with `--compounds`; "
            f"{'a list of genes' if not is_file else f'`{path_or_genes}`'} came. Add the option and a file, or leave these out."
        )
        raise InputError(msg)
    if pairs and is_file and Path(str(path_or_genes)).suffix != ".txt":
        msg = (
            f"`--pairs` needs a list of genes, a file that ends in '.txt'; `{path_or_genes}` does not. "
            "List the genes, or leave the option out: sets are edited together as they are."
        )
        raise InputError(msg)
    read = read_perturbations if is_file else singles
    found = read(path_or_genes, vocabulary, kind=kind, dose=dose, skip_unknown=skip_unknown)  # type: ignore[arg-type]
    if not pairs:
        return found
    return all_pairs([one.name for one in found if one.targets], vocabulary, kind=kind, dose=dose)


def compounds_asked(
    path: Path | str, vocabulary: Vocabulary, *, only: Sequence[str] = (), dose_um: float | None = None
) -> tuple[Combination, ...]:
    """One perturbation for each compound of a file; those without a target that can be edited are left out.

    Parameters
    ----------
    path
        Compounds and targets, as `data.compounds.read_targets` reads them.
    vocabulary
        Names the genes and their tokens.
    only
        Names of the compounds that are wanted; all of the file where it is empty.
    dose_um
        Concentration in µmol/l; `None` = the one that occupies nine tenths of a compound's most potent target.

    Returns
    -------
    Perturbations by `inhibit` and `activate`, to the share of each target that is occupied (`Compound.weights`). Targets of unknown
    sign are not edited; they stand in `unsigned`.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a compound that is wanted, or none has a target that can be edited.
    """
    known, _ = read_compounds(path, names=vocabulary.names)
    if only:
        found = named(known, only)
        lacking = [name for name in only if name not in found]
        if lacking:
            msg = (
                f"`--only` must name compounds of `{path}`; it has no {some(lacking)} among its {len(known):,}. The closest to the "
                f"first is {closest(lacking[0].upper(), known)}. Correct the name."
            )
            raise InputError(msg)
        known = found
    if dose_um is not None and not dose_um > 0:
        msg = f"`--dose-um` must be above 0, in micromoles a liter; it is {dose_um:g}. Correct it, or leave it out."
        raise InputError(msg)
    molar = float("nan") if dose_um is None else dose_um * 1e-6
    made = [_combination(replace(one, molar=molar), vocabulary) for one in known.values()]
    kept = tuple(one for one in made if one.targets)
    if not kept:
        msg = (
            f"A compound needs a target of known sign with a token in the '{vocabulary.version}' vocabulary; of {len(made):,} in "
            f"`{path}` none has one: {some(known)}. Say of their targets whether they are lowered or raised."
        )
        raise InputError(msg)
    return kept


def _combination(compound: Compound, vocabulary: Vocabulary) -> Combination:
    weights, kinds = compound.weights, dict.fromkeys(compound.activates, "activate")
    kinds |= dict.fromkeys(compound.inhibits, "inhibit")
    targets, missing = [], sorted(compound.unresolved)
    for gene in sorted(kinds):
        place = vocabulary.position.get(gene)
        if place is None:
            missing.append(gene)
        else:
            targets.append(Target(int(vocabulary.tokens[place]), kinds[gene], round(weights[gene], 4)))  # type: ignore[arg-type]
    unsigned = tuple(vocabulary.names.name_of(gene) for gene in sorted(compound.unsigned))
    return Combination(compound.name, tuple(targets), tuple(missing), unsigned)
