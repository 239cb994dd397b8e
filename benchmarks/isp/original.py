"""How long does the published tool need for one cell, every gene deleted in turn, on a CPU? One JSON line answers.

    python benchmarks/isp/original.py --reference CHECKOUT --model FOLDER --tokens cell.json --out shifts.npz

Runs in the published tool's own environment, so nothing of perturbloop is imported. The checkout is the user's and stays as it
is: it is neither copied nor changed. It asks for a GPU by name; while it runs, PyTorch answers such requests with the CPU, and
the arithmetic is PyTorch's own. `--out` holds the shifts: compare them with ours before believing the time.
"""

import argparse
import contextlib
import functools
import importlib
import json
import os
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

BATCH = 100
"""Edited cells in one forward pass."""
STATES = ("start", "goal")


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, help="checkout that holds `geneformer/`")
    parser.add_argument("--model", type=Path, required=True, help="BERT folder, with or without a classifier")
    parser.add_argument(
        "--tokens", type=Path, required=True, help="JSON: `tokens` of one cell, `start` and `goal` vectors"
    )
    parser.add_argument(
        "--dictionaries", type=Path, help="folder with `token_dictionary.pkl`; else the checkout's"
    )
    parser.add_argument(
        "--emb-layer", type=int, choices=(0, -1), default=0, help="0 = last, -1 = one before it"
    )
    parser.add_argument("--out", type=Path, required=True, help="NPZ: `token`, `shift_to_goal`")
    return parser.parse_args()


def read_cell(path: Path) -> dict[str, list]:
    """Read the cell and both state vectors."""
    cell = json.loads(path.read_text())
    missing = [name for name in ("tokens", *STATES) if not cell.get(name)]
    if missing:
        sys.exit(
            f"`{path}` must hold lists `tokens`, `start` and `goal`; missing or empty: {missing}. Add them."
        )
    if len(cell["tokens"]) < 2 or len(set(cell["tokens"])) < len(cell["tokens"]):
        sys.exit(f"`tokens` in `{path}` must be two or more, each once. Tokenize the cell again.")
    return cell


def answer_with_cpu() -> None:
    """Let requests for a GPU reach the CPU, in this process."""
    import torch

    def is_gpu(value: object) -> bool:
        return isinstance(value, str | torch.device) and str(value).startswith("cuda")

    def redirected(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            args = tuple("cpu" if is_gpu(value) else value for value in args)
            return function(
                *args, **{key: "cpu" if is_gpu(value) else value for key, value in options.items()}
            )

        return call

    for owner, name in ((torch, "tensor"), (torch.Tensor, "to"), (torch.nn.Module, "to")):
        setattr(owner, name, redirected(getattr(owner, name)))
    for name in ("memory_allocated", "max_memory_allocated", "max_memory_reserved"):
        setattr(torch.cuda, name, lambda *_: 0)
    torch.cuda.get_device_properties = lambda *_: SimpleNamespace(total_memory=0)


def load_perturber(checkout: Path) -> type:
    """Import the perturber alone: what else the package would import needs more than the perturber does."""
    folder = checkout.resolve() / "geneformer"
    if not (folder / "in_silico_perturber.py").is_file():
        sys.exit(
            f"`{checkout}` must hold `geneformer/in_silico_perturber.py`; it does not. Name the checkout's root."
        )
    package = ModuleType("geneformer")
    package.__path__ = [str(folder)]
    sys.modules["geneformer"] = package
    sys.dont_write_bytecode = True  # the checkout stays as it is
    return importlib.import_module("geneformer.in_silico_perturber").InSilicoPerturber


def prepare_model(folder: Path, scratch: Path) -> tuple[Path, int]:
    """Give the classifier's folder and its classes; an encoder gets a random head, which no embedding depends on."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(folder, local_files_only=True)
    if config.architectures == ["BertForSequenceClassification"]:
        return folder, config.num_labels
    model, found = BertForSequenceClassification.from_pretrained(
        folder, num_labels=2, output_loading_info=True, local_files_only=True
    )
    lost = [key for key in found["missing_keys"] if not key.startswith(("bert.pooler.", "classifier."))]
    if lost:
        sys.exit(
            f"`{folder}` must hold all weights of a BERT encoder; missing: {lost[:5]}. Copy the folder again."
        )
    model.save_pretrained(scratch / "model")
    return scratch / "model", 2


def spent() -> float:
    """CPU seconds of this process and of its children that ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def read_shifts(folder: Path) -> dict[int, float]:
    """Shift toward the goal of every gene; releases differ in how many files they write, and some are empty."""
    shifts: dict[int, float] = {}
    for path in sorted(folder.glob("*_raw.pickle")):
        with path.open("rb") as file:  # written a moment ago by the run below
            by_state = pickle.load(file)
        for (token, _), values in by_state["goal"].items():
            if len(values) != 1 or int(token) in shifts:
                sys.exit(
                    f"One cell gives one shift per gene; token {token} has more. Check the checkout's release."
                )
            shifts[int(token)] = float(values[0])
    return shifts


def run(options: argparse.Namespace, cell: dict[str, list], scratch: Path) -> dict[str, object]:
    """Delete every gene of the cell, write the shifts, and say what it took."""
    import datasets
    import numpy as np
    import torch
    import transformers

    answer_with_cpu()
    perturber_class = load_perturber(options.reference)
    model, n_classes = prepare_model(options.model, scratch)
    length = len(cell["tokens"])
    start_cell = {"input_ids": [cell["tokens"]], "length": [length], "state": ["start"]}
    datasets.Dataset.from_dict(start_cell).save_to_disk(scratch / "cell.dataset")
    dictionaries = options.dictionaries or options.reference / "geneformer"
    perturber = perturber_class(
        perturb_type="delete",
        genes_to_perturb="all",
        combos=0,
        model_type="CellClassifier",
        num_classes=n_classes,
        emb_mode="cell",
        cell_states_to_model={
            "state_key": "state",
            "start_state": "start",
            "goal_state": "goal",
            "alt_states": [],
        },
        state_embs_dict={state: torch.tensor([cell[state]], dtype=torch.float32) for state in STATES},
        max_ncells=1,
        emb_layer=options.emb_layer,
        forward_batch_size=BATCH,
        nproc=1,
        token_dictionary_file=dictionaries / "token_dictionary.pkl",
    )
    (scratch / "out").mkdir()
    cpu_before, wall_before = spent(), time.perf_counter()
    perturber.perturb_data(str(model), str(scratch / "cell.dataset"), str(scratch / "out"), "timing")
    cpu, wall = spent() - cpu_before, time.perf_counter() - wall_before
    shifts = read_shifts(scratch / "out")
    if set(shifts) != set(cell["tokens"]):
        sys.exit(
            f"Every token needs a shift; {len(shifts)} of {length} have one. Check the checkout's release."
        )
    np.savez(
        options.out,
        token=np.array(cell["tokens"], dtype=np.int64),
        shift_to_goal=np.array([shifts[token] for token in cell["tokens"]]),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "peak_rss_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10)),
        "n_pairs": length,
        "cpu_ms_per_pair": round(1000 * cpu / length, 3),
        "threads": torch.get_num_threads(),
        "emb_layer": options.emb_layer,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "datasets": datasets.__version__,
    }


def main() -> None:
    """Parse, run, print."""
    options = arguments()
    cell = read_cell(options.tokens)
    with tempfile.TemporaryDirectory() as folder:
        # read when torch, datasets and matplotlib are imported, so set before
        os.environ |= {
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HOME": f"{folder}/cache",
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "agg",
        }
        with contextlib.redirect_stdout(sys.stderr):  # the tool prints as it goes
            answer = run(options, cell, Path(folder))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
