"""Cost before a run, noise of its arithmetic, and the same table from several worker processes."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from perturbloop.models.spec import Shape
from perturbloop.perturb.collect import precision_of, run_plan
from perturbloop.perturb.cost import cost, flops_per_pass, passes_of
from perturbloop.perturb.exact import ExactEngine
from perturbloop.perturb.plan import plan
from perturbloop.perturb.probe import noise_floor, seconds_per_flop
from perturbloop.schema import PerturbConfig


def test_flops_are_those_of_the_products(model):
    shape = model.encoder("float32").shape
    assert shape == Shape(layers=2, dim=8, heads=2, intermediate=16, positions=16)
    length, dim, wide, layers = 7, 8, 16, 2
    products = 4 * 2 * length * dim * dim + 2 * 2 * length * dim * wide + 2 * 2 * length * length * dim
    assert flops_per_pass(shape, length) == layers * products


def test_a_cost_counts_passes_and_grows_with_them(model, tokens, readout):
    footprint = ExactEngine(model, readout).footprint(tokens)
    one = cost(footprint, np.ones(tokens.n_cells))
    ten = cost(footprint, np.full(tokens.n_cells, 10.0))
    assert ten.passes == 10 * one.passes == 10 * tokens.n_cells
    assert ten.flops == pytest.approx(10 * one.flops)
    assert one.lines()[0].startswith("6 passes, ")


def test_time_is_told_only_where_the_machine_was_timed(model, tokens, readout):
    engine = ExactEngine(model, readout)
    footprint, passes_n = engine.footprint(tokens), np.ones(tokens.n_cells)
    unknown = cost(footprint, passes_n)
    assert unknown.seconds is None
    assert unknown.lines()[1] == "0.01 GB above the model"
    known = cost(footprint, passes_n, seconds_per_flop=120 / unknown.flops)
    assert known.seconds == pytest.approx(120)
    assert known.lines()[1] == "about 2 min on this machine, 0.01 GB above the model"
    assert 0 < seconds_per_flop(engine, tokens) < 1


def test_passes_of_the_fast_engine_are_its_screens_and_a_share_of_the_edits():
    edits = pd.DataFrame({"cell": [0, 0, 0, 2], "kind": ["delete", "delete", "overexpress", "delete"]})
    assert passes_of(edits, 3).tolist() == [3, 0, 1]
    assert passes_of(edits, 3, fast=True).tolist() == [12 + 100 + 0.02 * 3, 0, 12 + 0.02]


def test_a_plan_and_its_cost_need_no_torch():
    code = "import sys, perturbloop.models, perturbloop.perturb.plan, perturbloop.perturb.cost; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers"} & set(found.stdout.split())


def test_the_noise_of_float32_is_nothing_beside_the_shifts(model, tokens, readout):
    edits = plan(tokens, model.vocabulary, PerturbConfig())
    found = noise_floor(ExactEngine(model, readout), tokens, edits)
    assert found.precision == 0
    assert found.repeat < 1e-5
    assert found.shift_sd > 0
    mixed = noise_floor(ExactEngine(model, readout, precision="mixed"), tokens, edits)
    assert 0 < mixed.precision < mixed.shift_sd


def test_a_run_keeps_the_precision_it_was_begun_with(tmp_path):
    assert precision_of(tmp_path, "mixed", torch.device("cpu")) == "mixed"
    assert precision_of(tmp_path, "float32", torch.device("cpu")) == "mixed"
    assert precision_of(tmp_path / "other", "float32", torch.device("cpu")) == "float32"


def test_another_batch_size_gives_the_same_table(model, tokens, readout, tmp_path):
    edits = plan(tokens, model.vocabulary, PerturbConfig())
    one = run_plan(ExactEngine(model, readout), tokens, edits, tmp_path / "a")
    other = run_plan(ExactEngine(model, readout, batch_tokens=16), tokens, edits, tmp_path / "b")
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-6)


WORLD = """
    import os, sys, time
    import numpy as np, pandas as pd, torch
    from pathlib import Path
    from transformers import BertConfig, BertModel
    from perturbloop.data.tokens import Tokens
    from perturbloop.data.vocabulary import Vocabulary
    from perturbloop.models.geneformer import Geneformer
    from perturbloop.perturb import collect
    from perturbloop.perturb.exact import ExactEngine
    from perturbloop.perturb.plan import plan
    from perturbloop.perturb.workers import shared_by
    from perturbloop.models.readout import Readout
    from perturbloop.schema import PerturbConfig

    torch.manual_seed(0)
    genes = [f"ENSG{number:011d}" for number in range(40)]
    words = Vocabulary.of_genes(genes, genes, np.ones(40), max_length=48)
    shape = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    bert = BertModel(BertConfig(vocab_size=42, max_position_embeddings=48, **shape), add_pooling_layer=False)
    model = Geneformer(bert, words, pooling="mean")
    rng = np.random.default_rng(0)
    tokens = Tokens.of_rows([2 + rng.permutation(40) for _ in range(60)])
    readout = Readout(rng.normal(size=16), rng.normal(size=16), 0.0)
    edits = plan(tokens, words, PerturbConfig(cells_per_gene=99))
    engine = ExactEngine(model, readout)
"""


def run(body: str, *args: str, **more: object) -> subprocess.Popen:
    code = textwrap.dedent(WORLD) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code, *args], text=True, stdout=subprocess.PIPE, **more)


def test_a_run_killed_without_warning_goes_on_where_it_stopped(tmp_path):
    body = """
        def told(done, total):
            print(done, flush=True)
            time.sleep(0.02)
        collect.run_plan(engine, tokens, edits, Path(sys.argv[1]), on_edits=told)
        Path(sys.argv[1] + ".done").touch()
    """
    killed = run(body, str(tmp_path / "killed"))
    while not list((tmp_path / "killed").glob("part-*.parquet")):
        assert killed.poll() is None
        killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("part-*.parquet")}
    assert shards
    assert not (tmp_path / "killed.done").is_file()
    here: dict = {}
    exec(textwrap.dedent(WORLD), here)
    resumed, whole = (
        run_plan(here["engine"], here["tokens"], here["edits"], tmp_path / name)
        for name in ("killed", "whole")
    )
    assert all(path.stat().st_mtime_ns == time for path, time in shards.items())
    pd.testing.assert_frame_equal(resumed, whole)


@pytest.mark.long
def test_a_cluster_gives_the_same_table_though_driver_and_node_are_killed(tmp_path):
    """A worker of this machine, then two nodes on the loopback, that write nothing but the test's notes."""
    pytest.importorskip("ray")
    body = """
        import signal
        from collections import Counter

        collect.SHARD_EDITS = 200
        torch.set_num_threads(1)
        place, driver = Path(sys.argv[1]), os.getpid()

        def note(name, text):
            with (place / name).open("a") as file:
                file.write(text + chr(10))

        def nodes_in(name):
            return {line.split()[0] for line in (place / name).read_text().splitlines()}

        class Told(Geneformer):
            def __setstate__(self, state):
                note("models", str(os.getpid()))
                self.__dict__.update(state)

        class Slow(ExactEngine):
            def edited(self, tokens, plan, edits, **more):
                import ray
                if not ray.is_initialized():
                    return super().edited(tokens, plan, edits, **more)
                who = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}"
                note("starts", who)
                time.sleep(0.2)
                while (place / "two").exists() and len(nodes_in("starts")) < 2:
                    time.sleep(0.1)  # till the other node works, too
                done = super().edited(tokens, plan, edits, **more)
                note("ends", who)
                return done

        def worker_of(node):  # that works on a shard just now
            while True:
                started, ended = ((place / name).read_text().splitlines() for name in ("starts", "ends"))
                open_ones = Counter(started) - Counter(ended)
                found = [who.split()[1] for who in open_ones if who.split()[0] == node]
                if found:
                    return int(found[0])

        alone = collect.run_plan(engine, tokens, edits, place / "alone")
        slow = Slow(Told(bert, words, pooling="mean"), readout)

        def parts():
            return {path: path.stat().st_mtime_ns for path in (place / "cluster").glob("part-*.parquet")}

        first = os.fork()
        if first == 0:  # a driver with a worker of this machine, and it will be killed; Ray is not loaded yet
            os.cpu_count = lambda: 1  # as many threads as this process has
            with shared_by(1):
                collect.run_plan(slow, tokens, edits, place / "cluster")
            os._exit(1)
        while len(parts()) < 2:
            time.sleep(0.02)
        os.kill(first, signal.SIGKILL)
        assert os.waitpid(first, 0)[1] == signal.SIGKILL
        before, seen = parts(), []
        for name in ("starts", "ends", "models"):
            (place / name).unlink()

        import ray
        from ray.cluster_utils import Cluster

        (place / "two").touch()
        nodes = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, object_store_memory=80_000_000, include_dashboard=False))
        second = nodes.add_node(num_cpus=1, object_store_memory=80_000_000)

        def told(done, total):
            global second
            seen.append(done)
            if second is not None and len(seen) > 5:
                os.kill(worker_of(second.node_id), signal.SIGKILL)
                nodes.remove_node(second, allow_graceful=False)
                second = None

        with shared_by(cluster=nodes.address):
            found = collect.run_plan(slow, tokens, edits, place / "cluster", on_edits=told)
            other = Slow(slow.model, Readout(readout.weight_d, readout.goal_d, 0.0))
            collect.run_plan(other, tokens, edits, place / "other")
        pd.testing.assert_frame_equal(found, alone, check_exact=True)
        assert second is None and seen == sorted(seen) and seen[-1] == len(edits.edits)
        assert before.items() <= parts().items()
        starts, ends, models = ((place / name).read_text().splitlines() for name in ("starts", "ends", "models"))
        assert len(nodes_in("starts")) == 2
        ends = [who for who in ends if who in starts]  # not that of a worker whose driver was gone
        assert len(starts) > len(ends) >= 2 * len(parts()) - len(before)
        assert len(models) == len(set(models)), "a worker unpacked the model twice"
        nodes.shutdown()
        print("same")
    """
    process = run(body, str(tmp_path), stderr=subprocess.PIPE)
    out, error = process.communicate(timeout=900)
    assert out.strip().endswith("same"), error[-3000:]
