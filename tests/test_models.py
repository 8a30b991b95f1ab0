"""labkit.models: residual networks, normalisation and initialisation, against networks written out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit import models


def normalised(h, norm):
    if norm == "batch":
        return (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
    if norm == "layer":
        return (h - h.mean(1, keepdim=True)) / (h.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    return h


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
def test_a_network_is_the_one_written_out_by_hand(norm, residual):
    x = torch.randn(7, 6, dtype=torch.float64)
    network = models.mlp([6, 5, 5, 5, 3], seed=1, norm=norm, residual=residual, activation="tanh", dtype=torch.float64)
    first, second, third, last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if residual:
        scale = 1 if norm else 1 / math.sqrt(2)  # two blocks
        h = first(x)
        h = h + scale * second(torch.tanh(normalised(h, norm)))
        h = h + scale * third(torch.tanh(normalised(h, norm)))
        expected = last(torch.tanh(normalised(h, norm)))
    else:
        h = torch.tanh(normalised(first(x), norm))
        h = torch.tanh(normalised(second(h), norm))
        h = torch.tanh(normalised(third(h), norm))
        expected = last(h)
    torch.testing.assert_close(network.train()(x), expected)


def test_a_residual_block_adds_its_scaled_branch():
    x, branch = torch.randn(4, 3), nn.Linear(3, 3)
    torch.testing.assert_close(models.Residual(branch, 0.5)(x), x + 0.5 * branch(x))


def test_hidden_layers_of_a_residual_network_are_its_sums_and_the_last_activation():
    network, x = models.mlp([6, 5, 5, 5, 3], seed=1, residual=True, norm="layer"), torch.randn(7, 6)
    hidden = models.hidden(network, x)
    assert [list(h.shape) for h in hidden] == [[7, 5]] * 3
    torch.testing.assert_close(hidden[1], network[:3](x))
    torch.testing.assert_close(network[-1](hidden[-1]), network(x))
    torch.testing.assert_close(hidden[-1], F.relu(F.layer_norm(hidden[1], [5])))


@pytest.mark.parametrize(("init", "std"), [("xavier", math.sqrt(2 / 700)), ("he", math.sqrt(2 / 400))])
def test_weights_have_the_standard_deviation_of_their_initialisation(init, std):
    hidden = models.mlp([10, 400, 300, 2], seed=0, init=init)[2]
    assert hidden.weight.std().item() == pytest.approx(std, rel=0.02)  # 120 000 draws: a relative error of 0.002
    assert not hidden.bias.any()


def test_the_default_initialisation_is_that_of_linear_layers():
    network = models.mlp([400, 300, 2], seed=3)
    with models.seeded(3):
        expected = nn.Linear(400, 300)
    assert torch.equal(network[0].weight, expected.weight)
    assert torch.equal(network[0].bias, expected.bias)
    assert network[0].weight.std().item() == pytest.approx(math.sqrt(1 / (3 * 400)), rel=0.02)


def test_neither_norm_nor_shortcut_changes_the_weights_that_a_seed_draws():
    plain = models.mlp([6, 5, 5, 3], seed=2, init="he")
    other = models.mlp([6, 5, 5, 3], seed=2, init="he", residual=True, norm="batch")
    linear = [[layer for layer in network.modules() if isinstance(layer, nn.Linear)] for network in (plain, other)]
    for one, two in zip(*linear, strict=True):
        assert torch.equal(one.weight, two.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "group"}, "norm='group' is unknown: choose from None, batch, layer."),
        ({"init": "zero"}, "init='zero' is unknown: choose from default, xavier, he."),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        models.mlp([6, 5, 5, 3], seed=0, **options)


def test_next_character_is_the_sum_of_its_parts():
    model = models.NextCharacter(12, 5, seed=3, vocabulary=20)
    characters = torch.randint(20, (7, 5), dtype=torch.uint8)
    looked_up = model.lookup.weight[characters.long()].reshape(7, 40)
    h = (looked_up @ model.first.weight.T + model.first.bias).relu()
    h = h + (h @ model.second.weight.T + model.second.bias).relu()
    torch.testing.assert_close(model(characters), h @ model.last.weight.T + model.last.bias)


def test_next_character_is_drawn_from_its_seed_and_leaves_global_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = (models.NextCharacter(6, 4, seed=seed).last.weight for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
