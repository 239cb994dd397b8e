"""Speed, memory and accuracy of in-silico perturbation: one command, a table as output.

    python benchmarks/isp/run.py --model MODEL --cells FILE.h5ad [--sections exact,memory,screen,fast,scaling]
                                 [--reference CHECKOUT --reference-python PYTHON --dictionaries FOLDER]

MODEL is a V1-6L-shaped model folder (`perturbloop pretrain … --layers 6 --hidden 256 --heads 4 --intermediate 512
--max-length 2048 --positions learned`). Ratios are measured in one run, both sides in turn, the least of two; times are
user + system seconds of the process. Run it on an idle machine. On a GPU (`--device cuda`) the same sections run there.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from transformers import BertConfig, BertModel

from perturbloop.data.cells import read_cells
from perturbloop.data.encoding import tokenize
from perturbloop.data.tokens import Tokens
from perturbloop.models.geneformer import Geneformer, load_geneformer
from perturbloop.models.readout import Readout
from perturbloop.perturb.collect import run_plan
from perturbloop.perturb.cost import flops_per_pass
from perturbloop.perturb.edit import delete, overexpress
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.fast import refine, screened
from perturbloop.perturb.plan import COLUMNS, plan
from perturbloop.perturb.screen import READINGS, screen
from perturbloop.perturb.workers import shared_by
from perturbloop.schema import PerturbConfig
from perturbloop.stats.control_variate import corrected_means

LINES: list[dict[str, object]] = []
SECTIONS = ("exact", "memory", "screen", "fast", "scaling")


def main() -> None:
    """Run the sections that are asked for and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--n-cells", type=int, default=10, help="whole cells at 512 tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", type=Path, help="checkout of the original")
    parser.add_argument("--reference-python", default=sys.executable)
    parser.add_argument("--dictionaries", type=Path, help="folder of the published dictionaries")
    parser.add_argument("--out", type=Path, help="JSON file for the lines")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.device}, seed {args.seed}")
    for section in args.sections.split(","):
        globals()[f"{section}_section"](args)
    if args.out:
        args.out.write_text(json.dumps(LINES, indent=1))


def say(section: str, what: str, value: float | str, **more: object) -> None:
    """Print one line of the table and keep it."""
    LINES.append({"section": section, "what": what, "value": value, **more})
    shown = value if isinstance(value, str) else f"{value:.4g}"
    print(f"{section:8} {what:66} {shown:>12}  " + "  ".join(f"{k} {v}" for k, v in more.items()), flush=True)


def seconds(device: str) -> float:
    """CPU seconds so far; on a GPU the clock, with its work done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(device: str, *work: Callable[[], object], repeats: int = 2) -> list[float]:
    """Least seconds of each piece of work, taken in turn after one warm-up."""
    least = [np.inf] * len(work)
    for turn in range(repeats + 1):
        for place, piece in enumerate(work):
            before = seconds(device)
            piece()
            if turn:
                least[place] = min(least[place], seconds(device) - before)
    return least


def prepared(
    args: argparse.Namespace, length: int, n_cells: int, *, model: Geneformer | None = None
) -> tuple[Geneformer, Tokens, Readout]:
    """Model, the first real cells that fill `length` tokens, and a readout between two halves of the cells."""
    model = model or load_geneformer(args.model, device=args.device)
    words = model.vocabulary.with_length(min(length, model.vocabulary.max_length))
    tokens = tokenize(read_cells(args.cells, names=words.names)[0], words)
    emb_nd = model.embed([tokens.row(cell)[:512] for cell in range(min(tokens.n_cells, 120))])
    axis = np.linalg.svd(emb_nd - emb_nd.mean(0), full_matrices=False)[2][0]
    place = (emb_nd - emb_nd.mean(0)) @ axis
    goal, start = emb_nd[place > 0].mean(0), emb_nd[place <= 0].mean(0)
    scale = 4 / np.linalg.norm(goal - start)
    readout = Readout(goal, ((goal - start) * scale).astype(np.float32), 0.0)
    full = np.flatnonzero(tokens.length_n >= words.max_length)
    rng = np.random.default_rng(args.seed)
    return model, tokens.select(np.sort(rng.permutation(full)[:n_cells])), readout


def random_model(model: Geneformer, *, layers: int, hidden: int, heads: int) -> Geneformer:
    """Make a model of another shape; speed does not depend on its weights."""
    config = BertConfig(
        vocab_size=model.vocabulary.size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        hidden_act="relu",
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    bert = BertModel._from_config(config, attn_implementation="sdpa")
    bert.pooler = None
    bert.to(model.device)
    return Geneformer(bert, model.vocabulary, pooling="mean")


def plain_loop(
    model: Geneformer, readout: Readout, row: np.ndarray, places: np.ndarray, kind: str = "delete"
) -> np.ndarray:
    """Cosines as one would write it with transformers: edited rows in batches through the model."""
    found = []
    goal = torch.from_numpy(readout.goal_d).to(model.device)
    with torch.inference_mode():
        for part in np.array_split(places, max(1, len(places) * len(row) // 16384)):
            change = delete if kind == "delete" else overexpress
            batch = np.stack([change(row, (int(row[place]),)) for place in part]).astype(np.int64)
            hidden = model.bert(input_ids=torch.from_numpy(batch).to(model.device)).last_hidden_state
            found.append(torch.cosine_similarity(hidden.mean(1), goal[None]).cpu().numpy())
    return np.concatenate(found)


def exact_section(args: argparse.Namespace) -> None:
    """Cost of one exact edit beside a plain loop with transformers, and beside the original where it is at hand."""
    rates = gemm_rates(args)
    base = load_geneformer(args.model, device=args.device)
    for name, length, deep in (("V1-6L", 512, False), ("V1-6L", 2048, False), ("V1-12L", 2048, True)):
        other = random_model(base, layers=12, hidden=512, heads=8) if deep else None
        model, tokens, readout = prepared(args, length, 1, model=other)
        row = tokens.row(0)
        n_edits = {(512, False): 128, (2048, False): 48, (2048, True): 16}[length, deep]
        places = np.arange(len(row) // 3, len(row) // 3 + n_edits)
        mixed = ExactEngine(model, readout, precision="mixed")
        full = ExactEngine(model, readout)
        plain, ours, oracle = timed(
            args.device,
            lambda model=model, readout=readout, row=row, places=places: plain_loop(
                model, readout, row, places
            ),
            lambda mixed=mixed, row=row, places=places: mixed.read_single(row, "delete", places, edge=0),
            lambda full=full, row=row, places=places: full.read_single(row, "delete", places, edge=0),
        )
        gflop = flops_per_pass(mixed.encoder.shape, len(row)) / 1e9
        title = f"{name}, {len(row)} tokens, ms per edit"
        say("exact", f"{title}: plain transformers loop", 1e3 * plain / n_edits, edits=n_edits)
        say("exact", f"{title}: float32", 1e3 * oracle / n_edits, ratio=f"{plain / oracle:.2f}")
        say("exact", f"{title}: mixed", 1e3 * ours / n_edits, ratio=f"{plain / ours:.2f}")
        say(
            "exact",
            f"{name}, {len(row)} tokens: share of the bfloat16 GEMM rate",
            gflop * n_edits / ours / rates[1],
        )
        worst = np.abs(
            full.read_single(row, "delete", places, edge=0)[:, 0] - plain_loop(model, readout, row, places)
        ).max()
        say("exact", f"{name}, {len(row)} tokens: float32 against the plain loop, worst cosine", float(worst))
        if args.reference and not deep and length == 512:
            against_the_original(args, model, readout, row, 1e3 * ours / n_edits)


def gemm_rates(args: argparse.Namespace) -> list[float]:
    """Rate of a matrix product of the model's shape, GFLOP per second, float32 and bfloat16."""
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(2048, 2048, device=args.device, dtype=dtype) for _ in range(2))
        (spent,) = timed(args.device, lambda a=a, b=b: [a @ b for _ in range(8)])
        rates.append(8 * 2 * 2048**3 / spent / 1e9)
        say("exact", f"GEMM rate, {str(dtype).removeprefix('torch.')}, GFLOP per (CPU) second", rates[-1])
    return rates


def against_the_original(
    args: argparse.Namespace, model: Geneformer, readout: Readout, row: np.ndarray, ours_ms: float
) -> None:
    """Run the original on the same cell, check that it finds the same, and compare the cost."""
    with tempfile.TemporaryDirectory() as place:
        cell, out = Path(place) / "cell.json", Path(place) / "shifts.npz"
        goal = readout.goal_d.tolist()
        cell.write_text(json.dumps({"tokens": row.tolist(), "start": goal, "goal": goal}))
        script = Path(__file__).with_name("original.py")
        command = [
            args.reference_python,
            str(script),
            "--reference",
            str(args.reference),
            "--model",
            str(args.model),
        ]
        command += ["--tokens", str(cell), "--dictionaries", str(args.dictionaries), "--emb-layer", "0"]
        done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        theirs = np.load(out)
    per_edit = next(value for key, value in told.items() if "ms" in key)
    say(
        "exact",
        f"V1-6L, {len(row)} tokens, ms per edit: the original",
        per_edit,
        ratio=f"{per_edit / ours_ms:.2f}",
    )
    places = np.arange(len(row))
    full = ExactEngine(model, readout)
    ours = full.read_single(row, "delete", places, edge=0)[:, 0] - full.read([row])[0, 0]
    by_token = dict(zip(theirs["token"].tolist(), theirs["shift_to_goal"].tolist(), strict=True))
    worst = max(abs(by_token[int(token)] - shift) for token, shift in zip(row, ours, strict=True))
    say("exact", "float32 against the original, worst shift", float(worst))


def memory_section(args: argparse.Namespace) -> None:
    """Peak memory of exact edits above the loaded model; it does not grow with the number of edits."""
    model, tokens, readout = prepared(args, 2048, 1)
    engine = ExactEngine(model, readout, precision="mixed")
    engine.read([tokens.row(0)[:64]])
    if args.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = resident()
    engine.read_single(tokens.row(0), "delete", np.arange(0, 2048, 32), edge=0)
    now = torch.cuda.max_memory_allocated() if args.device.startswith("cuda") else resident(peak=True)
    say(
        "memory",
        f"V1-6L, {tokens.length_n[0]} tokens, every 32nd gene: GB above the model",
        (now - before) / 1e9,
    )


def resident(*, peak: bool = False) -> int:
    """Resident memory of this process in bytes, now or at its highest."""
    key = "VmHWM" if peak else "VmRSS"
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024


def screen_section(args: argparse.Namespace) -> None:
    """Cost and agreement of the screen at 2,048 tokens, on 200 sampled genes of a cell."""
    model, tokens, readout = prepared(args, 2048, 2)
    engine = ExactEngine(model, readout, precision="mixed")
    rng = np.random.default_rng(args.seed)
    for kind in ("delete", "overexpress"):
        agreement, ratios = [], []
        for cell in range(tokens.n_cells):
            row = tokens.row(cell)
            places = np.sort(rng.permutation(np.arange(1, len(row)))[:200])
            (exact_s,) = timed(
                args.device,
                lambda row=row, kind=kind, places=places: engine.read_single(row, kind, places[:48], edge=0),
                repeats=1,
            )
            (one,) = timed(
                args.device,
                lambda row=row, kind=kind: screen(engine, row, kind, edge=0, readings=("logit_shift",)),
                repeats=1,
            )
            both = screen(engine, row, kind, edge=0)[places]
            exact = engine.read_single(row, kind, places, edge=0) - engine.read([row])
            ratios.append(exact_s / 48 * len(row) / one)
            agreement.append([spearmanr(both[:, k], exact[:, k])[0] for k in range(2)])
        spread = np.array(agreement)
        say("screen", f"{kind}, 2048 tokens: exact cost / screen cost, one reading", float(np.median(ratios)))
        for k, reading in enumerate(READINGS):
            worst = f"{spread[:, k].min():.3f}"
            say(
                "screen",
                f"{kind}, 2048 tokens, {reading}: Spearman, mean of 2 cells",
                float(spread[:, k].mean()),
                least=worst,
            )


def fast_section(args: argparse.Namespace) -> None:
    """The whole fast engine on whole cells at 512 tokens, against every exact edit of them."""
    model, tokens, readout = prepared(args, 512, args.n_cells)
    engine = ExactEngine(model, readout, precision="mixed")
    words = model.vocabulary
    for kind in ("delete", "overexpress"):
        config = PerturbConfig(kinds=(kind,), cells_per_gene=tokens.n_cells, engine="fast", seed=args.seed)
        edits = plan(tokens, words, config)
        exact = engine.shifts(tokens, edits)
        with tempfile.TemporaryDirectory() as place:
            table = screened(engine, tokens, edits, Path(place))
        rho = [
            spearmanr(table["logit_shift"][rows], exact["logit_shift"][rows])[0]
            for rows in table.groupby("cell").indices.values()
        ]
        say(
            "fast",
            f"{kind}: Spearman of the screen in a cell, mean of {len(rho)}",
            float(np.mean(rho)),
            least=f"{min(rho):.3f}",
        )
        truth = exact.groupby("gene_id")["logit_shift"].mean()
        best = set(truth.nlargest(50).index)
        guess = table.groupby("gene_id")["logit_shift"].mean()
        for size in (50, 100, 200):
            say(
                "fast",
                f"{kind}: exact top 50 of {len(truth):,} genes in the screen's top {size}",
                len(best & set(guess.nlargest(size).index)) / 50,
            )
        rounds = [_one_run(table, exact, replace(config, seed=seed), truth, best) for seed in range(10)]
        for name in rounds[0]:
            values = np.array([found[name] for found in rounds])
            say(
                "fast",
                f"{kind}: {name}, mean of 10 seeds",
                float(np.nanmean(values)),
                sd=f"{np.nanstd(values):.3f}",
            )


def _one_run(
    table: pd.DataFrame, exact: pd.DataFrame, config: PerturbConfig, truth: pd.Series, best: set[str]
) -> dict[str, float]:
    """One run of the verification, its exact edits looked up."""
    known = table[COLUMNS].assign(**{reading: exact[reading].to_numpy() for reading in READINGS})
    bare = []

    def verify(_number: int, choose: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        found = choose().merge(known, on=COLUMNS)
        bare.append(found)
        return found

    done = refine(table, config=config, verify=verify)
    found = done.estimates.set_index("gene_id")
    top = set(found["logit_shift"].nlargest(50).index)
    part = found[found["basis"] == "screen+own"]
    inside = (truth[part.index] >= part["ci_low"]) & (truth[part.index] <= part["ci_high"])
    pooled = found[found["basis"] == "screen+pooled"]
    covered = (truth[pooled.index] >= pooled["ci_low"]) & (truth[pooled.index] <= pooled["ci_high"])
    gene_ids, gene_e = np.unique(table["gene_id"].to_numpy(str), return_inverse=True)
    verified = table[COLUMNS].merge(pd.concat(bare), on=COLUMNS, how="left")["logit_shift"].to_numpy()
    without = (
        corrected_means(np.zeros(len(table)), verified, gene_e).set_index(pd.Index(gene_ids)).loc[part.index]
    )
    width = (without["ci_high"] - without["ci_low"]) / (part["ci_high"] - part["ci_low"])
    return {
        "share of exact passes": done.n_verified / done.n_edits,
        "exact top 50 found and verified": len(best & top & set(found.index[found["n_exact"] > 0])) / 50,
        "95 % intervals, genes verified in part: coverage": float(inside.mean()),
        "genes verified in part": float(len(part)),
        "… without the screen they are wider by (median)": float(width.median()),
        "95 % intervals, genes never verified: coverage": float(covered.mean()),
    }


def scaling_section(args: argparse.Namespace) -> None:
    """Wall time by cells, by genes and by worker processes, 512 tokens."""
    model, tokens, readout = prepared(args, 512, 4)
    for n_cells, n_edits in ((1, 64), (2, 64), (4, 64), (4, 32)):
        engine = ExactEngine(model, readout, precision="mixed")
        part = tokens.select(np.arange(n_cells))
        edits = plan(part, model.vocabulary, PerturbConfig(kinds=("delete",), cells_per_gene=n_cells))
        kept = edits.edits[edits.edits["position"] < n_edits].reset_index(drop=True)
        started = time.perf_counter()
        engine.shifts(part, replace(edits, edits=kept))
        spent = time.perf_counter() - started
        say("scaling", f"{n_cells} cells, {n_edits} genes each: wall ms per edit", 1e3 * spent / len(kept))
    edits = plan(tokens, model.vocabulary, PerturbConfig(kinds=("delete",), cells_per_gene=4))
    for workers in (0, 1, 2):
        engine = ExactEngine(model, readout, precision="mixed")
        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            with shared_by(workers):
                run_plan(engine, tokens, edits, Path(place))
            say(
                "scaling",
                f"{len(edits.edits):,} edits, {workers} Ray workers: wall seconds",
                time.perf_counter() - started,
            )


if __name__ == "__main__":
    main()
