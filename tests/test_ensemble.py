"""labkit.train.Ensemble: each replicate gets what it would get alone, whichever way the rule picks."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from labkit import data, models, train
from labkit.ledger import Ledger

SEEDS = [4, 0, 9]


def toy(n=90, features=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, features, generator=generator)
    return data.Examples(inputs, inputs[:, :classes].argmax(1), role="train")


def autoencoding(examples):
    return examples.replace(targets=examples.inputs, transform="targets are the inputs")


def smoothed(outputs, targets):
    """A loss that Ensemble knows nothing about."""
    return F.cross_entropy(outputs, targets, label_smoothing=0.1)


def clipping_sgd(parameters):
    """An optimizer that looks at the whole network's gradient, so that replicates must not be mixed."""
    parameters = list(parameters)

    class ClippingSGD(torch.optim.SGD):
        def step(self):
            torch.nn.utils.clip_grad_norm_(parameters, 0.1)
            super().step()

    return ClippingSGD(parameters, lr=0.5)


@pytest.fixture(params=["at once", "in turn"])
def way(request, monkeypatch):
    if request.param == "in turn":
        monkeypatch.setattr(train, "_all_at_once", lambda *_: False)
    return request.param


def alone(sizes, examples, dtype, network=None, **settings):
    """What each replicate would get from mlp and fit."""
    results = []
    for k, seed in enumerate(SEEDS):
        model = models.mlp(sizes, seed=seed, dtype=dtype, **(network or {}))
        results.append((model, train.fit(model, examples.replicate(k), seed=seed, **settings).loss))
    return results


SHARED, OWN = toy(), data.stack([toy(seed=seed) for seed in (1, 2, 3)])
CASES = {
    "adam": (SHARED, {}, {}),
    "adam, own data": (OWN, {}, {"weight_decay": 0.01}),
    "adamw, cosine": (SHARED, {}, {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine"}),
    "sgd, batch norm": (
        SHARED,
        {"norm": "batch"},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-3, "schedule": lambda s, n: 0.1 ** (s >= 0.6 * n)},
    ),
    "own data, batch norm, tanh": (OWN, {"norm": "batch", "activation": "tanh"}, {}),
    "layer norm, he": (OWN, {"norm": "layer", "init": "he"}, {}),
    "residual, xavier, sgd": (SHARED, {"residual": True, "init": "xavier"}, {"optimizer": "sgd", "momentum": 0.9}),
    "residual, batch norm": (OWN, {"residual": True, "norm": "batch"}, {"optimizer": "sgd", "momentum": 0.9}),
    "mse": (autoencoding(SHARED), {"activation": ["relu", "identity"]}, {"loss": F.mse_loss}),
    "mse, own data": (autoencoding(OWN), {}, {"loss": F.mse_loss, "optimizer": "sgd"}),
    "full batch": (OWN, {}, {"batch_size": 1000}),
    "another loss": (SHARED, {}, {"loss": smoothed}),
    "another optimizer": (OWN, {}, {"optimizer": clipping_sgd}),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_after_50_steps_are_those_of_each_alone(case, way):
    examples, network, settings = CASES[case]
    sizes = [6, 8, 8 if network.get("residual") else 5, 6 if settings.get("loss") is F.mse_loss else 3]
    settings = {"steps": 50, "batch_size": 20, "learning_rate": 0.01, **settings}
    ensemble = train.Ensemble(sizes, SEEDS, dtype=torch.float64, **network)
    start = [copy.state_dict() for copy in ensemble]
    history = ensemble.fit(examples, **settings)
    assert history.loss.shape == (50, 3)
    for k, (model, loss) in enumerate(alone(sizes, examples, torch.float64, network, **settings)):
        np.testing.assert_allclose(history.loss[:, k], loss, rtol=0, atol=1e-9)
        state = ensemble[k].state_dict()
        assert not torch.allclose(start[k]["0.weight"], state["0.weight"], atol=1e-3)  # something was learned
        for name, expected in model.state_dict().items():
            torch.testing.assert_close(state[name], expected, rtol=0, atol=1e-9)


RATES = [0.002, 0.05, 0.01]


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam", "weight_decay": 0.01},
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine"},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    ],
)
def test_each_replicate_may_have_its_own_learning_rate(settings, way):
    settings |= {"steps": 40, "batch_size": 20}
    ensemble = train.Ensemble([6, 8, 5, 3], SEEDS, dtype=torch.float64, norm="layer")
    ensemble.fit(SHARED, learning_rate=RATES, **settings)
    for k, (seed, rate) in enumerate(zip(SEEDS, RATES, strict=True)):
        model = models.mlp([6, 8, 5, 3], seed=seed, dtype=torch.float64, norm="layer")
        train.fit(model, SHARED, seed=seed, learning_rate=rate, **settings)
        for name, expected in model.state_dict().items():
            torch.testing.assert_close(ensemble[k].state_dict()[name], expected, rtol=0, atol=1e-9)
    recorded = Ledger().query("SELECT learning_rate, config FROM training_run WHERE seed IS NOT NULL ORDER BY id")
    assert recorded.learning_rate.tolist() == RATES * 2
    assert not recorded.config.str.contains('"lr"').any()


def test_learning_rates_that_do_not_fit_are_refused():
    ensemble = train.Ensemble([6, 8, 3], SEEDS)
    assert ensemble.fit(SHARED, steps=2, learning_rate=np.array(RATES, dtype=np.float32)).status == "completed"
    assert ensemble.fit(SHARED, steps=2, learning_rate=torch.tensor(RATES)).status == "completed"
    for rates in ([0.1, 0.1], [0.1, 0.1, -0.1], []):
        with pytest.raises(ValueError, match="for an Ensemble of K a list of K"):
            ensemble.fit(SHARED, steps=2, learning_rate=rates)
    with pytest.raises(ValueError, match="give one number"):
        train.fit(models.mlp([6, 8, 3], seed=0), SHARED, steps=2, learning_rate=[0.1, 0.1])


def test_divergence_names_the_learning_rate_of_the_replicate_that_diverged(way):
    ensemble = train.Ensemble([6, 8, 3], SEEDS)
    with pytest.raises(train.TrainingDiverged, match=r"of replicate 1 .* with learning rate 1e\+30"):
        ensemble.fit(SHARED, steps=200, optimizer="sgd", learning_rate=[0.01, 1e30, 0.01])


@pytest.mark.parametrize("network", [{}, {"norm": "batch"}])
def test_float32_losses_are_those_of_each_alone(network, way):
    digits = data.digits().split(0).train
    history = train.Ensemble([64, 32, 10], SEEDS, **network).fit(digits, steps=50)
    for k, (_, loss) in enumerate(alone([64, 32, 10], digits, torch.float32, network, steps=50)):
        np.testing.assert_allclose(history.loss[:, k], loss, rtol=0, atol=1e-3)


@pytest.mark.parametrize("network", [{}, {"norm": "batch", "activation": "gelu"}])
def test_outputs_and_hidden_layers_are_the_replicates(network):
    ensemble = train.Ensemble([6, 8, 5, 3], SEEDS, dtype=torch.float64, **network)
    for k, seed in enumerate(SEEDS):
        for name, value in models.mlp([6, 8, 5, 3], seed=seed, dtype=torch.float64, **network).state_dict().items():
            assert torch.equal(ensemble[k].state_dict()[name], value)
    ensemble.fit(SHARED, steps=3)
    shared, own = SHARED.inputs.double(), OWN.inputs.double()
    ensemble.eval()
    for inputs in (shared, own):
        outputs, hidden = ensemble(inputs), ensemble.hidden(inputs)
        assert outputs.shape == (3, 90, 3)
        assert [tuple(h.shape) for h in hidden] == [(3, 90, 8), (3, 90, 5)]
        for k, model in enumerate(ensemble):
            mine = inputs[k] if inputs is own else inputs
            torch.testing.assert_close(outputs[k], model(mine), rtol=0, atol=1e-12)
            for ours, theirs in zip(hidden, models.hidden(model, mine), strict=True):
                torch.testing.assert_close(ours[k], theirs, rtol=0, atol=1e-12)


def test_a_replicate_is_a_copy():
    ensemble = train.Ensemble([6, 8, 3], SEEDS)
    ensemble.fit(SHARED, steps=2)
    assert len(ensemble) == len(list(ensemble)) == 3
    before = ensemble(SHARED.inputs).detach()
    copy = ensemble[1]
    assert copy.run_id == ensemble.run_ids[1]
    with torch.no_grad():
        copy[0].weight.zero_()
    assert torch.equal(ensemble(SHARED.inputs), before)
    with pytest.raises(IndexError):
        ensemble[3]


def test_training_twice_goes_on_from_where_it_was(way):
    ensemble, model = train.Ensemble([6, 8, 3], SEEDS, dtype=torch.float64), models.mlp([6, 8, 3], seed=9)
    model = model.double()
    for _ in range(2):
        ensemble.fit(SHARED, steps=10)
        train.fit(model, SHARED, steps=10, seed=9)
    torch.testing.assert_close(ensemble[2][0].weight, model[0].weight, rtol=0, atol=1e-10)


def test_the_rule_goes_by_sizes_alone():
    small, large, one = (train.Ensemble([6, width, 3], range(k)) for width, k in [(8, 3), (512, 3), (8, 1)])
    assert train._all_at_once(small, 32, "adam")
    assert not train._all_at_once(small, 32, clipping_sgd)
    assert not train._all_at_once(large, 512, "adam")
    assert not train._all_at_once(one, 32, "adam")


def test_callback_sees_all_replicates_at_the_same_step(way):
    seen = {}
    ensemble = train.Ensemble([6, 8, 3], SEEDS, dtype=torch.float64)
    look = lambda step, model: seen.update({step: model(SHARED.inputs.double())})  # noqa: E731
    ensemble.fit(SHARED, steps=20, callback=look, callback_steps=[0, 12])
    for step in (0, 12):
        for k, seed in enumerate(SEEDS):
            model = models.mlp([6, 8, 3], seed=seed, dtype=torch.float64)
            if step:
                train.fit(model, SHARED, steps=step, seed=seed)
            torch.testing.assert_close(seen[step][k], model(SHARED.inputs.double()), rtol=0, atol=1e-10)


def test_ctrl_c_keeps_what_was_trained(way):
    def stop(step, model):
        raise KeyboardInterrupt

    ensemble, expected = (train.Ensemble([6, 8, 3], SEEDS) for _ in range(2))
    with pytest.warns(UserWarning, match="interrupted after 7 of 100 steps"):
        history = ensemble.fit(SHARED, steps=100, callback=stop, callback_steps=[7])
    np.testing.assert_array_equal(history.loss, expected.fit(SHARED, steps=7).loss)
    assert torch.equal(ensemble(SHARED.inputs), expected(SHARED.inputs))
    rows = Ledger().query("SELECT status, steps_done FROM training_run WHERE steps_planned = 100")
    assert rows.values.tolist() == [["interrupted", 7]] * 3


def test_ctrl_c_between_two_turns(monkeypatch):
    monkeypatch.setattr(train, "_all_at_once", lambda *_: False)
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        if len(calls) == 3 * train._TURN + train._TURN + 4:  # a turn each, and replicate 1 in its second
            raise KeyboardInterrupt
        return F.cross_entropy(outputs, targets)

    forget = {"callback": lambda step, model: calls.clear(), "callback_steps": [0]}  # what fit tried before
    ensemble, expected = (train.Ensemble([6, 8, 3], SEEDS) for _ in range(2))
    with pytest.warns(UserWarning, match=f"interrupted after {train._TURN} of 100 steps"):
        history = ensemble.fit(SHARED, steps=100, loss=loss, **forget)
    np.testing.assert_array_equal(history.loss, expected.fit(SHARED, steps=train._TURN).loss)
    assert train.evaluate(ensemble, SHARED).shape == (3,)


def test_one_replicate_diverges(way):
    huge = toy(seed=2)
    huge = huge.replace(inputs=huge.inputs * 1e30, transform="scaled")
    ensemble = train.Ensemble([6, 8, 3], SEEDS)
    with pytest.raises(
        train.TrainingDiverged, match=r"^The loss of replicate 1 became (inf|nan) at step \d+ with"
    ) as caught:
        ensemble.fit(data.stack([toy(seed=1), huge, toy(seed=3)]), steps=80, optimizer="sgd", learning_rate=1.0)
    assert caught.value.history.run_id == ensemble.run_ids
    statuses = Ledger().query("SELECT status FROM training_run ORDER BY replicate").status.tolist()
    assert statuses == ["interrupted", "diverged", "interrupted"]
    assert torch.isfinite(ensemble[0](SHARED.inputs)).all()  # the others were not harmed


def test_each_replicate_is_recorded(way):
    ensemble = train.Ensemble([6, 8, 3], SEEDS)
    history = ensemble.fit(OWN, steps=120, experiment="three")
    rows = Ledger().query(
        "SELECT r.*, s.sha256, a.name, a.n_parameters, c.seconds, c.flops FROM training_run r JOIN split s ON s.id = "
        "r.split_id JOIN architecture a ON a.id = r.architecture_id JOIN compute c ON c.run_id = r.id "
        "ORDER BY replicate"
    )
    assert rows.id.tolist() == ensemble.run_ids == history.run_id
    assert rows.replicate.tolist() == [0, 1, 2]
    assert rows.seed.tolist() == SEEDS
    assert rows.sha256.tolist() == [part.sha256 for part in OWN.parts]
    assert set(rows.name) == {"MLP 6-8-3"}
    assert set(rows.n_parameters) == {6 * 8 + 8 + 8 * 3 + 3}
    assert rows.seconds.sum() == pytest.approx(history.seconds)
    assert set(rows.flops) == {120 * 90 * (6 * (6 * 8 + 8 * 3) - 2 * 6 * 8)}
    assert rows.final_loss.tolist() == history.loss[-1].tolist()
    assert Ledger().query("SELECT count(*) AS n FROM training_metric GROUP BY run_id").n.tolist() == [100] * 3


def test_the_architecture_is_that_of_the_model_alone():
    train.Ensemble([6, 8, 3], SEEDS).fit(SHARED, steps=1)
    train.fit(models.mlp([6, 8, 3], seed=0), SHARED, steps=1)
    assert len(Ledger().query("SELECT * FROM architecture")) == 1


def test_evaluate_gives_one_value_a_replicate():
    ensemble = train.Ensemble([6, 8, 3], SEEDS, norm="batch")
    ensemble.fit(OWN, steps=20)
    for examples in (SHARED, OWN):
        values = train.evaluate(ensemble, examples)
        assert values.shape == (3,)
        assert ensemble.training
        expected = [train.evaluate(ensemble[k], examples.replicate(k)) for k in range(3)]
        assert values.tolist() == expected
    rows = Ledger().query("SELECT run_id, value FROM evaluation ORDER BY id").head(3)
    assert rows.run_id.tolist() == ensemble.run_ids
    assert train.evaluate(ensemble, SHARED, groups=SHARED.targets)["2"].shape == (3,)
    assert train.evaluate(ensemble, autoencoding(SHARED).replicate(0), metric=lambda y, t: y.square().mean()).shape == (
        3,
    )


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (data.stack([toy(), toy()]), "stacked for 2 replicates: train an Ensemble of as many"),
        (toy(features=5), "cannot take inputs torch.float32 of shape"),
        (toy(classes=5), "Target 4 is out of bounds"),
        (data.stack([toy(), toy(), toy(classes=5)]), "Target 4 is out of bounds"),
    ],
)
def test_bad_input_is_one_clear_sentence(examples, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        train.Ensemble([6, 8, 3], SEEDS).fit(examples, steps=2)
    assert len(str(caught.value).splitlines()) == 1
    if "Target" not in str(caught.value):
        with pytest.raises(ValueError, match=re.escape(words)):
            train.evaluate(train.Ensemble([6, 8, 3], SEEDS), examples)


def test_seeds_are_given_once():
    with pytest.raises(TypeError, match="multiple values for keyword argument 'seed'"):
        train.Ensemble([6, 3], SEEDS).fit(SHARED, steps=1, seed=3)
    with pytest.raises(ValueError, match=r"whole number from 0 to .*, not 1\.5"):
        train.Ensemble([6, 3], [1.5])
