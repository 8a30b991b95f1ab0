"""labkit.models: the transformer and its parts, against PyTorch's own layers with copied parameters."""

import copy
import math
import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit import checkpoint, models, train
from labkit.ledger import Ledger
from labkit.models import Attention, Block, Transformer, sinusoidal

WIDTH, HEADS, T = 12, 3, 7
exact = {"rtol": 1e-9, "atol": 1e-12}


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tokens(n=5, length=T, vocabulary=9, seed=0):
    return torch.randint(vocabulary, (n, length), generator=torch.Generator().manual_seed(seed))


def small(**options):
    return Transformer(9, **{"seed": 1, "length": T, "width": WIDTH, "heads": HEADS, **options}).double()


def copy_attention(ours, theirs):
    """Parameters of an Attention into an nn.MultiheadAttention."""
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())


def copy_block(ours, theirs):
    """Parameters of a Block into an nn.TransformerEncoderLayer."""
    copy_attention(ours.attention, theirs.self_attn)
    for name, part in {"norm1": ours.norm_1, "norm2": ours.norm_2}.items():
        getattr(theirs, name).load_state_dict(part.state_dict())
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())


@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_pytorchs_multihead_attention(causal):
    ours = Attention(WIDTH, HEADS, causal=causal).double()
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
    copy_attention(ours, theirs)
    x = draw(5, T, WIDTH)
    mask = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    out, weights = theirs(x, x, x, attn_mask=mask, average_attn_weights=False)
    torch.testing.assert_close(ours(x), out, **exact)
    torch.testing.assert_close(ours.weights(x), weights, **exact)


def test_relative_positions_are_a_bias_by_distance():
    ours = Attention(WIDTH, HEADS, relative=T + 2).double()
    with torch.no_grad():
        ours.distance_bias.copy_(draw(HEADS, 2 * T + 3, seed=1))
    x = draw(5, T, WIDTH)
    bias = torch.empty(HEADS, T, T, dtype=torch.float64)
    for head in range(HEADS):
        for i in range(T):
            for j in range(T):
                bias[head, i, j] = ours.distance_bias[head, i - j + T + 1]
    parts = ours.query_key_value(x).chunk(3, dim=-1)
    q, k, v = (part.view(5, T, HEADS, WIDTH // HEADS).transpose(1, 2) for part in parts)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(ours(x), ours.out(mixed.transpose(1, 2).reshape(5, T, WIDTH)), **exact)


@pytest.mark.parametrize("causal", [False, True])
def test_block_equals_pytorchs_encoder_layer(causal):
    ours = Block(Attention(WIDTH, HEADS, causal=causal), WIDTH, feed_forward=20).double()
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 20, 0.0, "gelu", batch_first=True, norm_first=True).double()
    copy_block(ours, theirs)
    x = draw(5, T, WIDTH)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64) if causal else None
    torch.testing.assert_close(ours(x), theirs(x, src_mask=mask), **exact)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
def test_transformer_equals_pytorchs_encoder(positions):
    ours = small(layers=3, outputs=4, positions=positions, feed_forward=20)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 20, 0.0, "gelu", batch_first=True, norm_first=True)
    theirs = nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False).double()
    for block, copied in zip(ours.blocks, theirs.layers, strict=True):
        copy_block(block, copied)
    theirs.norm.load_state_dict(ours.norm.state_dict())
    x = ours.embedding.weight[tokens()]
    if positions == "learned":
        x = x + ours.position
    if positions == "sinusoidal":
        x = x + sinusoidal(T, WIDTH).double()
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    torch.testing.assert_close(ours(tokens()), ours.unembedding(theirs(x, mask=mask)), **exact)


@pytest.mark.parametrize("width", [1, 5, 12])
def test_sinusoidal_transformer_positions_by_the_formula(width):
    table = sinusoidal(T, width)
    assert table.shape == (T, width)
    for t in range(T):
        for column in range(width):
            wave = math.cos if column % 2 else math.sin
            expected = wave(t / 10_000 ** ((column - column % 2) / width))
            assert table[t, column].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("positions", models._POSITIONS)
def test_causal_transformer_does_not_see_what_comes_later(positions):
    model, before = small(positions=positions, feed_forward=8), tokens()
    after = before.clone()
    after[:, 4:] = (after[:, 4:] + 1) % 9
    torch.testing.assert_close(model(before)[:, :4], model(after)[:, :4], **exact)
    assert (model(before)[:, 4] - model(after)[:, 4]).abs().max() > 1e-3
    torch.testing.assert_close(model(before[:, :4]), model(before)[:, :4], **exact)


@pytest.mark.parametrize("positions", models._POSITIONS)
def test_transformer_without_positions_and_mask_is_equivariant(positions):
    model, order = small(positions=positions, causal=False, feed_forward=8), torch.tensor([3, 1, 0, 6, 5, 2, 4])
    for name, parameter in model.named_parameters():
        if "distance_bias" in name:
            nn.init.normal_(parameter)
    gap = (model(tokens())[:, order] - model(tokens()[:, order])).abs().max()
    assert gap < 1e-12 if positions == "none" else gap > 1e-3


def test_transformer_patterns_are_the_weights_that_it_uses():
    model = small(layers=2, positions="relative").train()
    patterns = model.patterns(tokens())
    assert [list(pattern.shape) for pattern in patterns] == [[5, HEADS, T, T]] * 2
    assert model.training
    for pattern in patterns:
        torch.testing.assert_close(pattern.sum(-1), torch.ones(5, HEADS, T).double(), **exact)
        assert pattern.triu(1).abs().max() == 0
    second = model.blocks[1]
    x = model.blocks[0](model.embed(tokens()))
    torch.testing.assert_close(patterns[1], second.attention.weights(second.norm_1(x)), **exact)


def test_transformer_is_drawn_from_its_seed_and_leaves_global_state_alone():
    state = torch.get_rng_state()
    ours, same, other = small(seed=3), small(seed=3), small(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(ours.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(ours.embedding.weight, other.embedding.weight)


@pytest.mark.parametrize("positions", models._POSITIONS)
def test_transformers_run_stacked_under_vmap(positions):
    networks = [small(seed=seed, positions=positions, feed_forward=8) for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(networks)
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def loss(parameters, buffers, x):
        outputs = torch.func.functional_call(skeleton, (parameters, buffers), (x,))
        return F.cross_entropy(outputs[:, :-1].mT, x[:, 1:])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, 0, None))(parameters, buffers, tokens())
    for k, network in enumerate(networks):
        F.cross_entropy(network(tokens())[:, :-1].mT, tokens()[:, 1:]).backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[name][k], parameter.grad, **exact)


def test_fit_trains_and_records_a_transformer(tmp_path):
    model = Transformer(9, seed=0, length=T, width=WIDTH, feed_forward=8)
    x = tokens(64)
    history = train.fit(
        model, (x[:, :-1], x[:, 1:]), steps=30, learning_rate=1e-2, loss=lambda y, t: F.cross_entropy(y.mT, t)
    )
    assert history.loss[-1] < history.loss[0]
    flops = train.Ledger().query("SELECT flops FROM compute").flops[0]
    assert flops > 0
    again = checkpoint.load_checkpoint(
        Transformer(9, seed=5, length=T, width=WIDTH, feed_forward=8), checkpoint.save_checkpoint(model)
    )
    torch.testing.assert_close(again(x), model(x))


def test_transformer_refuses_positions_that_it_does_not_know():
    with pytest.raises(ValueError, match="positions='rotary' is unknown: choose from learned"):
        small(positions="rotary")


TOKENS = torch.randint(8, (30, 6), generator=torch.Generator().manual_seed(0))


def changed(tokens, value):
    tokens = tokens.clone()
    tokens[20, 3] = value
    return tokens


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (changed(TOKENS, 8), TOKENS, "the token 8 is outside its vocabulary, 0 to 7"),
        (changed(TOKENS, -1), TOKENS, "the token -1 is outside its vocabulary, 0 to 7"),
        (TOKENS, changed(TOKENS, 8), "Target 8 is out of bounds"),
        (TOKENS.float(), TOKENS, "but got torch.FloatTensor instead"),
        (TOKENS.to(torch.uint8), TOKENS, "but got torch.ByteTensor instead"),
        (TOKENS.repeat(1, 2), TOKENS.repeat(1, 2), "must match the size of tensor b"),
    ],
)
def test_tokens_that_do_not_fit_are_refused_before_anything_is_recorded(inputs, targets, words):
    model, loss = Transformer(8, seed=0, length=6), lambda y, t: F.cross_entropy(y.mT, t)
    calls = [
        lambda: train.fit(model, (inputs, targets), steps=2, loss=loss),
        lambda: train.evaluate(model, (inputs, targets), metric=loss),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1
    assert Ledger().query("SELECT id FROM training_run UNION ALL SELECT id FROM split").empty


def test_each_column_of_tokens_may_have_a_vocabulary_of_its_own():
    class Columns(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.few, self.many = torch.nn.Embedding(3, 4), torch.nn.Embedding(50, 4)

        def forward(self, tokens):
            return self.few(tokens[:, 0]) + self.many(tokens[:, 1])

    tokens = torch.stack([torch.arange(40) % 3, torch.arange(40)], 1)
    assert train.fit(Columns(), (tokens, torch.arange(40) % 4), steps=2).status == "completed"
    tokens[7, 0] = 3
    with pytest.raises(ValueError, match="the token 3 is outside its vocabulary, 0 to 2"):
        train.fit(Columns(), (tokens, torch.arange(40) % 4), steps=2)


def test_unsigned_tokens_of_an_array_are_taken_and_unknown_targets_left_out():
    unknown = torch.where(torch.arange(6) < torch.arange(30).unsqueeze(1) % 5, -100, TOKENS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, tokens = Transformer(8, seed=0, length=6), TOKENS.numpy().astype(np.uint16)
        assert (
            train.fit(model, (tokens, unknown), steps=2, loss=lambda y, t: F.cross_entropy(y.mT, t)).status
            == "completed"
        )
