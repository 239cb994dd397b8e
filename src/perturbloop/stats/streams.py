"""Streams of random numbers that have a name, so that no two purposes ever share one."""

import hashlib

import numpy as np


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Random numbers of one purpose, the same on every machine and in every version of Python.

    Parameters
    ----------
    seed
        Seed of the campaign, or of whatever is to be repeated; 0 or more.
    name
        What the numbers are for, in words, and where there are several of a kind which of them: a gene's token, a cell.

    Returns
    -------
    A new generator. Streams of different seeds or names are independent, whatever else they are numbered by.

    Notes
    -----
    The parts of the name are hashed (SHA-256) into the entropy of NumPy's `SeedSequence`. A bare number as a stream would meet
    the number of another purpose: token 3 is not round 3.

    Examples
    --------
    >>> first, again, other = (stream(0, "cells of a gene", token).random() for token in (3, 3, 4))
    >>> first == again, first == other
    (True, False)
    """
    digest = hashlib.sha256(repr(name).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype="<u4").tolist()])
