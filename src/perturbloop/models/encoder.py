"""A BERT's forward pass, written out, so that in-silico perturbation can choose its arithmetic and share work.

The weights are those of the `BertModel` it is made from; in float32 the hidden states equal that model's. In `mixed`
precision matrix products and attention run in bfloat16, while the residual stream, layer norms and pooling stay in
float32: a shift is a small difference of two cosines, and a bfloat16 residual stream would drown it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention
from transformers import BertModel
from transformers.activations import ACT2FN

from perturbloop.models.spec import Shape
from perturbloop.schema import Precision

Hidden = Float[torch.Tensor, "b t d"]
HiddenOrFirst = Float[torch.Tensor, "b #t d"]
SPARE_HEAD_WIDTH = 8
"""Columns put beside queries and keys to carry a bias per key; fused attention wants a multiple of eight."""


@dataclass(frozen=True)
class Layer:
    """Weights of one transformer layer, matrices in the type they are multiplied in."""

    qkv: torch.Tensor
    qkv_bias: torch.Tensor
    out: torch.Tensor
    out_bias: torch.Tensor
    up: torch.Tensor
    up_bias: torch.Tensor
    down: torch.Tensor
    down_bias: torch.Tensor
    attention_norm: tuple[torch.Tensor, torch.Tensor]
    output_norm: tuple[torch.Tensor, torch.Tensor]


class Encoder:
    """From token ids and positions to hidden states, at one precision."""

    def __init__(self, bert: BertModel, *, precision: Precision = "float32") -> None:
        """Take over the weights; in mixed precision the matrices are copied as bfloat16."""
        self.dtype = torch.bfloat16 if precision == "mixed" else torch.float32
        config = bert.config
        self.n_heads = int(config.num_attention_heads)
        self.dim = int(config.hidden_size)
        self.eps = float(config.layer_norm_eps)
        self.act = ACT2FN[config.hidden_act]
        embeddings: Any = bert.embeddings
        self.words = embeddings.word_embeddings.weight.detach()
        self.positions = embeddings.position_embeddings.weight.detach()
        self.segment = embeddings.token_type_embeddings.weight.detach()[0]
        self.embedding_norm = _norm(embeddings.LayerNorm)
        blocks: Any = bert.encoder.layer
        self.layers = tuple(self._layer(block) for block in blocks)

    @property
    def shape(self) -> Shape:
        """Sizes, which decide what a pass costs."""
        wide, positions = len(self.layers[0].up_bias), len(self.positions)
        return Shape(len(self.layers), self.dim, self.n_heads, wide, positions)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.device

    def _layer(self, block: Any) -> Layer:
        heads, dense = block.attention.self, block.attention.output
        parts = (heads.query, heads.key, heads.value)

        def cast(weight: torch.Tensor) -> torch.Tensor:
            return weight.detach().to(self.dtype)

        return Layer(
            qkv=cast(torch.cat([part.weight for part in parts])),
            qkv_bias=cast(torch.cat([part.bias for part in parts])),
            out=cast(dense.dense.weight),
            out_bias=cast(dense.dense.bias),
            up=cast(block.intermediate.dense.weight),
            up_bias=cast(block.intermediate.dense.bias),
            down=cast(block.output.dense.weight),
            down_bias=cast(block.output.dense.bias),
            attention_norm=_norm(dense.LayerNorm),
            output_norm=_norm(block.output.LayerNorm),
        )

    def summed(self, tokens_bt: Int[torch.Tensor, "*b t"], positions_bt: Int[torch.Tensor, "*#b t"]) -> Any:
        """Word, segment and position vectors added up, before their layer norm."""
        return self.words[tokens_bt] + self.segment + self.positions[positions_bt]

    def embedded(self, summed: torch.Tensor) -> torch.Tensor:
        """Input of the first layer."""
        return layer_norm(summed, (self.dim,), *self.embedding_norm, self.eps)

    def hidden(
        self,
        embedded_btd: Hidden,
        *,
        key_bias_bt: Float[torch.Tensor, "b t"] | None = None,
        first_only: bool = False,
    ) -> HiddenOrFirst:
        """Hidden states of the last layer.

        Parameters
        ----------
        embedded_btd
            Input of the first layer.
        key_bias_bt
            Added to every attention score toward a token; the logarithm of a gate that lets a token be heard.
        first_only
            Compute the last layer at the first position alone: all that `<cls>` pooling reads.

        Returns
        -------
        Batch × tokens × embedding, float32; one token where only the first was asked for.
        """
        return self.after_first_attention(embedded_btd, None, key_bias_bt=key_bias_bt, first_only=first_only)

    def after_first_attention(
        self,
        embedded_btd: Hidden,
        context_btd: Hidden | None,
        *,
        key_bias_bt: Float[torch.Tensor, "b t"] | None = None,
        first_only: bool = False,
    ) -> HiddenOrFirst:
        """Hidden states of the last layer, with the first layer's attention given where it is known already.

        Parameters
        ----------
        embedded_btd
            Input of the first layer.
        context_btd
            What the first layer's attention gives for it; computed where it is `None`.
        key_bias_bt, first_only
            As in `hidden`.

        Returns
        -------
        As `hidden` returns them.
        """
        x = embedded_btd
        for number, layer in enumerate(self.layers):
            last = first_only and number == len(self.layers) - 1
            if number == 0 and context_btd is not None:
                context, rows = (context_btd[:, :1], x[:, :1]) if last else (context_btd, x)
            else:
                context = self._attend(layer, x, key_bias_bt, first_only=last)
                rows = x[:, :1] if last else x
            x = self._finish(layer, rows, context)
        return x

    def heads(self, layer: Layer, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, batch × heads × tokens × head width."""
        qkv = linear(x.to(self.dtype), layer.qkv, layer.qkv_bias)
        q, k, v = qkv.unflatten(-1, (3, self.n_heads, -1)).unbind(-3)
        return q.transpose(-2, -3), k.transpose(-2, -3), v.transpose(-2, -3)

    def _attend(
        self, layer: Layer, x: torch.Tensor, key_bias_bt: torch.Tensor | None, *, first_only: bool
    ) -> torch.Tensor:
        q, k, v = self.heads(layer, x)
        q = q[:, :, :1] if first_only else q
        width = q.shape[-1]
        if key_bias_bt is None:
            context = scaled_dot_product_attention(q, k, v)
        else:  # a mask that needs a gradient would leave the fused kernels, so the bias rides on a column of its own
            scale = width**-0.5
            beside = q.new_zeros((*q.shape[:-1], SPARE_HEAD_WIDTH))
            beside[..., 0] = 1 / scale
            bias = (key_bias_bt.to(self.dtype) if key_bias_bt.dtype != self.dtype else key_bias_bt)[
                :, None, :, None
            ].expand(-1, k.shape[1], -1, -1)
            bias = torch.nn.functional.pad(bias, (0, SPARE_HEAD_WIDTH - 1))
            context = scaled_dot_product_attention(
                torch.cat([q, beside], -1),
                torch.cat([k, bias], -1),
                torch.nn.functional.pad(v, (0, SPARE_HEAD_WIDTH)),
                scale=scale,
            )[..., :width]
        return context.transpose(1, 2).flatten(2)

    def _finish(self, layer: Layer, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Residual, norm and feed-forward of one layer; the sums and norms are float32."""
        shape = (self.dim,)
        attended = linear(context.to(self.dtype), layer.out, layer.out_bias).float()
        x = layer_norm(x + attended, shape, *layer.attention_norm, self.eps)
        up = self.act(linear(x.to(self.dtype), layer.up, layer.up_bias))
        down = linear(up, layer.down, layer.down_bias).float()
        return layer_norm(x + down, shape, *layer.output_norm, self.eps)


def _norm(module: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return module.weight.detach().float(), module.bias.detach().float()
