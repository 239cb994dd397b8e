"""The forward pass written out, against transformers' own and against plain loops."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from perturbloop.data.vocabulary import Vocabulary
from perturbloop.models.encoder import Encoder
from perturbloop.models.geneformer import Geneformer

GENES = [f"ENSG{number:011d}" for number in range(38)]
WORDS = Vocabulary.of_genes(GENES, GENES, np.ones(38), max_length=48)


def random_bert(seed, *, act="gelu", layers=2, heads=2, hidden=16, spread=1.0):
    """A BERT whose weights are large enough for attention to be uneven and whose biases and norms are not trivial."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=40,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        hidden_act=act,
        max_position_embeddings=48,
        attn_implementation="eager",
    )
    bert = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, weight in bert.named_parameters():
            if "LayerNorm.weight" in name:
                weight.add_(0.3 * torch.randn_like(weight))
            else:
                weight.copy_(spread * torch.randn_like(weight) * (0.3 if weight.ndim == 2 else 0.1))
    return bert


def hidden_states(bert, tokens_bt, **options):
    encoder = Encoder(bert, **{key: options.pop(key) for key in ("precision",) if key in options})
    summed = encoder.summed(tokens_bt, torch.arange(tokens_bt.shape[1])[None])
    with torch.no_grad():
        return encoder.hidden(encoder.embedded(summed), **options)


def random_tokens(rng, cells, length):
    return torch.from_numpy(rng.integers(0, 40, (cells, length)))


@pytest.mark.parametrize("length", [1, 7, 48])
@pytest.mark.parametrize(
    "shape", [{"act": "gelu"}, {"act": "relu", "layers": 3, "heads": 4}, {"layers": 1, "hidden": 24}]
)
def test_in_float32_the_hidden_states_are_those_of_transformers(rng, shape, length):
    for seed in range(2):
        bert = random_bert(seed, **shape)
        tokens_bt = random_tokens(rng, 3, length)
        with torch.no_grad():
            theirs = bert(input_ids=tokens_bt).last_hidden_state
        ours = hidden_states(bert, tokens_bt)
        assert (ours - theirs).norm() / theirs.norm() < 1e-6
        torch.testing.assert_close(ours, theirs, atol=4e-6, rtol=1e-6)  # rounding of numbers up to 4


@pytest.mark.parametrize("layers", [1, 3])
def test_the_first_position_alone_is_the_first_of_all(rng, layers):
    bert, tokens_bt = random_bert(1, layers=layers), random_tokens(rng, 4, 9)
    whole = hidden_states(bert, tokens_bt)
    first = hidden_states(bert, tokens_bt, first_only=True)
    assert first.shape == (4, 1, 16)
    torch.testing.assert_close(first, whole[:, :1], atol=1e-6, rtol=1e-6)
    gate_bt = torch.from_numpy(rng.uniform(0.1, 2, (4, 9)).astype(np.float32))
    gated = [
        hidden_states(bert, tokens_bt, key_bias_bt=gate_bt.log(), first_only=only) for only in (True, False)
    ]
    torch.testing.assert_close(gated[0], gated[1][:, :1], atol=1e-6, rtol=1e-6)


def looped_layer(block, x_td, gate_t):
    """One BERT layer for one cell, query by query and head by head, in float64; each key weighted by its gate."""
    attention, heads = block.attention.self, block.attention.self.num_attention_heads
    q, k, v = (np.array(apply(part, x_td)) for part in (attention.query, attention.key, attention.value))
    width = q.shape[1] // heads
    context = np.zeros_like(q)
    for head in range(heads):
        columns = slice(head * width, (head + 1) * width)
        for query in range(len(q)):
            heard = [
                gate * np.exp(q[query, columns] @ key[columns] / width**0.5)
                for gate, key in zip(gate_t, k, strict=True)
            ]
            context[query, columns] = sum(
                h * value[columns] for h, value in zip(heard, v, strict=True)
            ) / sum(heard)
    x_td = normed(block.attention.output.LayerNorm, x_td + apply(block.attention.output.dense, context))
    up = np.maximum(apply(block.intermediate.dense, x_td), 0)
    return normed(block.output.LayerNorm, x_td + apply(block.output.dense, up))


def apply(part, x_td):
    return x_td @ part.weight.detach().double().numpy().T + part.bias.detach().double().numpy()


def normed(part, x_td):
    x_td = x_td - x_td.mean(axis=1, keepdims=True)
    x_td = x_td / np.sqrt((x_td**2).mean(axis=1, keepdims=True) + part.eps)
    return x_td * part.weight.detach().double().numpy() + part.bias.detach().double().numpy()


def test_a_key_bias_is_the_logarithm_of_a_gate_on_what_is_heard(rng):
    bert, tokens_bt = random_bert(2, act="relu"), random_tokens(rng, 2, 8)
    gate_bt = rng.uniform(0.05, 3, (2, 8)).astype(np.float32)
    gate_bt[0, 3], gate_bt[1, 0] = 1e-9, 1
    ours = hidden_states(bert, tokens_bt, key_bias_bt=torch.from_numpy(gate_bt).log())
    parts = bert.embeddings
    for cell in range(2):
        x_td = (
            parts.word_embeddings.weight[tokens_bt[cell]]
            + parts.position_embeddings.weight[:8]
            + parts.token_type_embeddings.weight[0]
        )
        x_td = normed(parts.LayerNorm, x_td.detach().double().numpy())
        for block in bert.encoder.layer:
            x_td = looped_layer(block, x_td, gate_bt[cell])
        np.testing.assert_allclose(ours[cell].numpy(), x_td, atol=2e-6)
    plain = hidden_states(bert, tokens_bt)
    torch.testing.assert_close(
        hidden_states(bert, tokens_bt, key_bias_bt=torch.zeros(2, 8)), plain, atol=1e-6, rtol=1e-6
    )
    assert (ours - plain).abs().max() > 0.05


def test_a_closed_gate_leaves_the_others_as_if_the_token_were_not_there(rng):
    bert, tokens_bt = random_bert(3), random_tokens(rng, 1, 6)
    bert.embeddings.position_embeddings.weight.data[:] = 0
    bias_bt = torch.zeros(1, 6)
    bias_bt[0, 2] = -1e4
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(
        hidden_states(bert, tokens_bt, key_bias_bt=bias_bt)[:, kept],
        hidden_states(bert, tokens_bt[:, kept]),
        atol=1e-6,
        rtol=1e-6,
    )


def test_mixed_precision_stays_near_and_keeps_its_residual_stream_in_float32(rng):
    bert, tokens_bt = random_bert(4, layers=3), random_tokens(rng, 4, 20)
    exact, mixed = (hidden_states(bert, tokens_bt, precision=p) for p in ("float32", "mixed"))
    assert mixed.dtype == torch.float32
    assert 1e-5 < (mixed - exact).abs().max() < 0.2
    assert (mixed - exact).norm() / exact.norm() < 0.03
    # A bfloat16 number has 8 bits; in a float32 stream hardly any number is one.
    assert (mixed != mixed.bfloat16().float()).float().mean() > 0.95
    encoder = Encoder(bert, precision="mixed")
    assert encoder.layers[0].qkv.dtype == encoder.layers[0].down.dtype == torch.bfloat16
    assert encoder.words.dtype == encoder.layers[0].output_norm[0].dtype == torch.float32
    embedded = encoder.embedded(encoder.summed(tokens_bt, torch.arange(20)[None]))
    seen = []
    finish = encoder._finish

    def watched(layer, x, context):
        seen.append((x.dtype, context.dtype))
        return finish(layer, x, context)

    encoder._finish = watched
    encoder.hidden(embedded)
    assert seen == [(torch.float32, torch.bfloat16)] * 3


@pytest.mark.parametrize("pooling", ["mean", "cls", "inner"])
def test_open_gates_pool_as_no_gates_do(rng, pooling):
    model = Geneformer(random_bert(0), WORDS, pooling=pooling)
    hidden_btd = torch.from_numpy(rng.normal(size=(3, 7, 16)).astype(np.float32))
    plain = model.pool(hidden_btd)
    torch.testing.assert_close(model.pool(hidden_btd, torch.ones(3, 7)), plain, atol=1e-6, rtol=1e-6)
    chosen = {"mean": range(7), "cls": [0], "inner": range(1, 6)}[pooling]
    expected = np.mean([hidden_btd[:, place].numpy() for place in chosen], axis=0)
    np.testing.assert_allclose(plain, expected, atol=1e-6)
    assert model.first_only == (pooling == "cls")


def test_a_closed_gate_is_not_counted_in_the_mean(rng):
    model = Geneformer(random_bert(0), WORDS, pooling="inner")
    hidden_btd = torch.from_numpy(rng.normal(size=(1, 5, 16)).astype(np.float32))
    found = model.pool(hidden_btd, torch.tensor([[9.0, 1, 0, 0.5, 9]]))
    np.testing.assert_allclose(found[0], (hidden_btd[0, 1] + 0.5 * hidden_btd[0, 3]) / 1.5, atol=1e-6)


def test_the_encoder_of_a_model_gives_its_embeddings(rng):
    model = Geneformer(random_bert(5), WORDS, pooling="mean")
    tokens_bt = random_tokens(rng, 3, 11)
    encoder = model.encoder("float32")
    embedded = encoder.embedded(encoder.summed(tokens_bt, torch.arange(11)[None]))
    with torch.no_grad():
        torch.testing.assert_close(
            model.pool(encoder.hidden(embedded)), model.encode(tokens_bt), atol=1e-6, rtol=1e-6
        )
