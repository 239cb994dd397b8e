"""Foundation models behind one interface: rows of tokens in, one embedding per cell out.

A model folder holds a Hugging Face `config.json`, weights (`model.safetensors`, or `.bin` read without running
code), and, when perturbloop wrote it, its `vocabulary.parquet` and `perturbloop.json`. A published Geneformer
folder is read as it is, with the folder of its dictionaries beside it.
"""
