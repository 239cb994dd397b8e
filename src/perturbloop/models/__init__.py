"""Foundation models behind one interface: rows of tokens in, one embedding per cell out.

A *family* is one `ModelSpec`: how its folders are told, loaded and described. `load(folder)` gives the model of a folder,
`describe(folder)` its identity (`ModelCard`: family, digest, vocabulary, sizes) without torch. A Geneformer folder holds a
Hugging Face `config.json`, weights (`model.safetensors`, or `.bin` read without running code), and, when perturbloop wrote
it, its `vocabulary.parquet` and `perturbloop.json`. A published folder is read as it is, with the folder of its
dictionaries beside it.
"""

from perturbloop.models.published import found_model
from perturbloop.models.registry import SPECS, describe, load, require_foundation, spec_of
from perturbloop.models.spec import ModelCard, ModelSpec, Shape

__all__ = [
    "SPECS",
    "ModelCard",
    "ModelSpec",
    "Shape",
    "describe",
    "found_model",
    "load",
    "require_foundation",
    "spec_of",
]
