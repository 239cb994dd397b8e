"""Published models that are known by name: where each is from, of which revision and hash, and whether it is on this machine."""

from dataclasses import dataclass
from pathlib import Path

from perturbloop.errors import InputError, closest, some


@dataclass(frozen=True)
class Published:
    """One published model."""

    name: str
    """Its folder's published name."""
    family: str
    """Name of its `ModelSpec`."""
    repository: str
    """Where it lies on the Hugging Face hub."""
    revision: str
    """Commit of the repository that is fetched, whatever came later."""
    folder: str
    """Its folder in the repository; '' for the repository itself."""
    files: tuple[tuple[str, str], ...]
    """Files it is made of and the SHA-256 of each; '' where only the hub itself declares a hash."""
    length: int
    """Most tokens a cell may have."""
    n_tokens: int
    """Tokens of its vocabulary, special ones included."""
    millions: int
    """Parameters, in millions."""
    licence: str
    """Licence of the weights, or of the code where none is stated for them."""

    @property
    def source(self) -> str:
        """Where it comes from, in one word."""
        return f"{self.repository}@{self.revision[:12]}"


_GENEFORMER = "ctheodoris/Geneformer"
_LATEST = "1f7fbae4e469a5f4f1af8c111a529cfe1b3829f5"
_LAST_WITH_12L = "01d3ea8993c2a49704375d7ee6175210cfa33f11"
_GC30M = (
    (
        "geneformer/gene_dictionaries_30m/token_dictionary_gc30M.pkl",
        "ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1",
    ),
    (
        "geneformer/gene_dictionaries_30m/gene_median_dictionary_gc30M.pkl",
        "b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39",
    ),
    (
        "geneformer/gene_dictionaries_30m/gene_name_id_dict_gc30M.pkl",
        "55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c",
    ),
)
_GC104M = (
    (
        "geneformer/token_dictionary_gc104M.pkl",
        "67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f",
    ),
    (
        "geneformer/gene_median_dictionary_gc104M.pkl",
        "a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5",
    ),
    (
        "geneformer/gene_name_id_dict_gc104M.pkl",
        "fabfa0c2f49c598c59ae432a32c3499a5908c033756c663b5e0cddf58deea8e1",
    ),
    (
        "geneformer/ensembl_mapping_dict_gc104M.pkl",
        "0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c",
    ),
)


def _geneformer(
    name: str, sha256: str, millions: int, *, file: str = "model.safetensors", revision: str = _LATEST
) -> Published:
    first = "V1" in name or "30M" in name
    files = ((f"{name}/config.json", ""), (f"{name}/{file}", sha256), *(_GC30M if first else _GC104M))
    length, n_tokens = (2048, 25_426) if first else (4096, 20_275)
    return Published(
        name, "geneformer", _GENEFORMER, revision, name, files, length, n_tokens, millions, "Apache-2.0"
    )


PUBLISHED: tuple[Published, ...] = (
    _geneformer("Geneformer-V1-10M", "a5e33a757431643b3697de7ef6127950cdc49e06e58d4266b3a3ab191b683f14", 10),
    _geneformer(
        "gf-12L-30M-i2048",
        "812f8d85e5ecf9d64c268f052f6ece2c1906bc4f1aecf70d5144b2598386b615",
        40,
        file="pytorch_model.bin",
        revision=_LAST_WITH_12L,
    ),
    _geneformer(
        "Geneformer-V2-104M", "fff5cba29ddd8792991fa77b4872246fbe548a178cebda3775cdc72b67780e7f", 104
    ),
    _geneformer("Geneformer-V2-104M_CLcancer", "", 104),
    _geneformer(
        "Geneformer-V2-316M", "965ceccea81953d362081ef3843560a0e4fef88d396c28017881f1e94b1246f3", 316
    ),
    Published(
        "scGPT-human",
        "scgpt",
        "wanglab/scGPT-human",
        "a24c237737a40f3720f75abb555489e9fe753be6",
        "",
        (
            ("args.json", ""),
            ("best_model.pt", "6cb5d451ab5c4b33eb673adbe4fddc61d2389df1b89b7651a9fe2e557572b922"),
            ("vocab.json", ""),
        ),
        1200,
        60_697,
        51,
        "MIT (code)",
    ),
)
"""Models that `perturbloop models` lists and fetches. 'gf-12L-30M-i2048' is V1 with 12 layers: later revisions left it out."""


def published(name: str) -> Published:
    """Return the published model of a name.

    Raises
    ------
    InputError
        If none is known by it.
    """
    for entry in PUBLISHED:
        if entry.name == name:
            return entry
    names = [entry.name for entry in PUBLISHED]
    msg = (
        f"A published model is named as `perturbloop models` lists it; {name!r} is not among the {len(names)} there. The closest: "
        f"{closest(name, names)}."
    )
    raise InputError(msg)


def place_of(entry: Published) -> Path | None:
    """Folder of a published model in the hub's cache on this machine; `None` where it is not all there."""
    from huggingface_hub import try_to_load_from_cache

    found = [
        try_to_load_from_cache(entry.repository, path, revision=entry.revision) for path, _ in entry.files
    ]
    first = found[0]
    if not isinstance(first, str) or not all(isinstance(path, str) for path in found):
        return None
    return Path(first).parent


def found_model(path: str) -> str:
    """Return the folder of a model that is given by its path, or by the name of a published one that was fetched.

    Parameters
    ----------
    path
        What was given; a name without a folder may have become the path of a folder that is not there.

    Raises
    ------
    InputError
        If it names a published model, or its repository, and the model is not on this machine.
    """
    name = Path(path).name
    if not name or Path(path).exists():
        return path
    entry = next((one for one in PUBLISHED if one.name == name), None)
    if entry is None:
        inside = [one.name for one in PUBLISHED if one.repository.rpartition("/")[2] == name]
        if inside:
            msg = f"`--model` takes one model; the repository '{name}' holds {some(inside, limit=9)}. Name one of them."
            raise InputError(msg)
        return path
    place = place_of(entry)
    if place is None:
        msg = (
            f"`{name}` is a published model that is not on this machine, and no folder of that name is at `{path}`. Bring it once with "
            f"`perturbloop models fetch {name}`, or give the folder where it lies."
        )
        raise InputError(msg)
    return str(place)
