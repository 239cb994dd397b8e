"""Named values of options: a preset is nothing that its options, typed one by one, would not be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perturbloop.errors import InputError, closest, some


@dataclass(frozen=True)
class Preset:
    """A recipe under one name."""

    name: str
    meaning: str
    source: str
    """Where the recipe is from."""
    options: Mapping[str, Any]
    """Values of options of a new campaign, by their flat names."""

    def over(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options that came, and the preset's where none came."""
        return {**self.options, **{name: value for name, value in given.items() if value is not None}}

    def lines(self, given: Mapping[str, Any]) -> list[str]:
        """What the preset set, and what was typed in its place."""
        own = {name: value for name, value in self.options.items() if given.get(name) is None}
        typed = {name: given[name] for name in self.options if given.get(name) is not None}
        lines = [f"Preset {self.name} ({self.source}) set {_said(own)}."] if own else []
        return lines + ([f"Typed in place of the preset's: {_said(typed)}."] if typed else [])


PRESETS = (
    Preset(
        "pershad2025",
        "the closed loop of Pershad et al., as its scripts run it: all of Geneformer V1-12L trained for ten epochs on cells split at "
        "random, delete judged by CRISPRi and overexpress by CRISPRa",
        "doi:10.1101/2025.07.08.663754",
        {
            "model": "gf-12L-30M-i2048",
            "levels": ("full",),
            "closed_loop": "always",
            "learning_rate": 5e-5,
            "batch_cells": 6,
            "accumulate": 2,
            "warm_up_steps": 500,
            "epochs": 10,
            "keep_epoch": "best",
            "max_cells": 1_000_000,
            "split": "cells",
            "kinds": ("delete", "overexpress"),
            "reference_genes": 1_000_000,
            "call": "geneformer",
        },
    ),
)
"""All presets."""


def preset(name: str) -> Preset:
    """Look a preset up by its name.

    >>> preset("pershad2025").options["learning_rate"]
    5e-05
    """
    found = next((one for one in PRESETS if one.name == name), None)
    if found is None:
        known = [one.name for one in PRESETS]
        msg = f"`--preset` takes {some(known)}; it is {name!r}. Did you mean {closest(name, known)}?"
        raise InputError(msg)
    return found


def _said(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {','.join(value) if isinstance(value, tuple) else value}" for name, value in options.items()
    )
