"""labkit.train and labkit.models: fit, evaluate and checkpoints. Ensemble has tests of its own, in test_ensemble.py."""

import copy
import functools
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from labkit import checkpoint, data, models, train
from labkit.ledger import Ledger
from labkit.measure import accuracy

DIGITS = data.digits().split(0)


def toy(n=100, features=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, features, generator=generator)
    return inputs, inputs[:, :classes].argmax(1)


def plain_loop(model, inputs, targets, steps, batch_size, seed, optimizer, loss=F.cross_entropy, after=lambda: None):
    """The loop of notebook 00."""
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < steps:
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(inputs) - batch_size + 1, batch_size):
            batch = order[start : start + batch_size]
            value = loss(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            after()
            done += 1
            if done == steps:
                return


def assert_same_weights(model, other, **tolerance):
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, **tolerance)


def run_row(run_id):
    return Ledger().query("SELECT * FROM training_run WHERE id = ?", [run_id]).iloc[0]


# The same as the loop in plain sight ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [128, len(DIGITS.train)])
def test_fit_gives_the_plain_loops_weights_bit_for_bit(batch_size):
    ours, theirs = models.mlp([64, 32, 10], seed=3), models.mlp([64, 32, 10], seed=3)
    history = train.fit(ours, DIGITS.train, steps=30, batch_size=batch_size, seed=7)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
    plain_loop(theirs, DIGITS.train.inputs, DIGITS.train.targets, 30, batch_size, 7, optimizer)
    assert_same_weights(ours, theirs)
    assert history.loss.shape == (30,)
    assert history.loss[-1] < history.loss[0]


def test_a_batch_larger_than_the_data_is_all_of_them():
    results = []
    for batch_size in (100, 5000):
        model = models.mlp([6, 4, 3], seed=0)
        results.append(train.fit(model, toy(), steps=5, batch_size=batch_size).loss)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("settings", "build"),
    [
        ({"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01}, lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 0.01)),
        ({"optimizer": "adam", "weight_decay": 0.01}, lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.01)),
        ({"optimizer": "adamw", "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1)),
        ({"optimizer": lambda p: torch.optim.RMSprop(p, 0.1)}, lambda p: torch.optim.RMSprop(p, 0.1)),
    ],
)
@pytest.mark.parametrize("schedule", ["constant", "cosine", lambda step, steps: 0.1 ** (step >= 0.6 * steps)])
def test_optimizers_and_schedules_do_what_pytorchs_do(settings, build, schedule):
    ours, theirs = (models.mlp([6, 8, 3], seed=1, dtype=torch.float64) for _ in range(2))
    inputs, targets = toy()
    train.fit(ours, (inputs, targets), steps=20, batch_size=25, learning_rate=0.1, schedule=schedule, **settings)
    optimizer = build(theirs.parameters())
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
    }.get(schedule, lambda: torch.optim.lr_scheduler.MultiStepLR(optimizer, [12], 0.1))()
    plain_loop(theirs, inputs.double(), targets, 20, 25, 0, optimizer, after=scheduler.step)
    assert_same_weights(ours, theirs, rtol=1e-10, atol=1e-12)


def test_regression_and_numpy_arrays():
    inputs = np.linspace(-1, 1, 64).reshape(-1, 1)
    model = models.mlp([1, 32, 1], seed=0, activation="tanh")
    train.fit(model, (inputs, inputs**2), steps=300, learning_rate=1e-2, loss=F.mse_loss, batch_size=64)
    assert train.evaluate(model, (inputs, inputs**2), metric=F.mse_loss) < 1e-3


# Randomness -----------------------------------------------------------------------------------------------------------


def random_state():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_global_random_state_is_left_as_found():
    before = random_state()
    model = nn.Sequential(models.mlp([6, 8, 8], seed=5), nn.Dropout(), nn.Linear(8, 3))
    torch.manual_seed(0)
    random.seed(1)
    np.random.seed(2)
    before = random_state()
    train.fit(model, toy(), steps=3, callback=lambda step, model: (torch.rand(1), np.random.rand(), random.random()))
    train.Ensemble([6, 8, 3], [1, 2]).fit(toy(), steps=3)
    models.mlp([6, 8, 3], seed=1)
    assert random_state() == before


def test_seeded_restores_after_an_error_too():
    before = random_state()

    def crash():
        with models.seeded(3):
            torch.rand(1), np.random.rand(), random.random()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert random_state() == before


def test_seeded_seeds_all_three():
    def draw():
        return torch.rand(1).item(), random.random(), np.random.rand()

    with models.seeded(3):
        first = draw()
    with models.seeded(3):
        assert draw() == first
    with models.seeded(4):
        assert not set(draw()) & set(first)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_a_nonsense_seed_is_refused(seed):
    with pytest.raises(ValueError, match="must be a whole number from 0"):
        train.fit(models.mlp([6, 3], seed=0), toy(), steps=1, seed=seed)
    assert Ledger().query("SELECT * FROM training_run").empty


def test_the_seed_decides_dropouts_masks():
    def weights(seed, noise):
        torch.manual_seed(noise)
        model = nn.Sequential(*models.mlp([6, 16], seed=0), nn.Dropout(), *models.mlp([16, 3], seed=1))
        train.fit(model, toy(), steps=5, batch_size=100, seed=seed)
        return model

    assert_same_weights(weights(0, noise=1), weights(0, noise=2))
    with pytest.raises(AssertionError):
        assert_same_weights(weights(0, noise=1), weights(1, noise=1), rtol=1e-3, atol=1e-3)


# Callbacks and modes --------------------------------------------------------------------------------------------------


def test_callback_sees_the_named_steps_and_changes_nothing():
    def trained(**watch):
        model = nn.Sequential(*models.mlp([6, 16], seed=0), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 3))
        with torch.no_grad():
            model[-1].weight.fill_(0.1)
            model[-1].bias.zero_()
        train.fit(model, toy(), steps=60, batch_size=20, **watch)
        return model

    seen = []

    def look(step, model):
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(7)
        seen.append((step, model(toy()[0]), model[0].weight.clone()))

    model = trained(callback=look, callback_steps=[60, 0, 7])
    assert_same_weights(model, trained())
    assert [step for step, *_ in seen] == [0, 7, 60]
    torch.testing.assert_close(seen[0][2], models.mlp([6, 16], seed=0)[0].weight)
    torch.testing.assert_close(seen[2][2], model[0].weight)
    assert not torch.equal(seen[1][2], model[0].weight)


def test_callback_by_default_comes_at_every_step():
    steps = []
    train.fit(models.mlp([6, 3], seed=0), toy(), steps=4, callback=lambda step, model: steps.append(step))
    assert steps == [0, 1, 2, 3, 4]


def test_modes_are_restored_module_by_module():
    model = models.mlp([6, 8, 3], seed=0, norm="batch")
    model.train()
    model[1].eval()
    before = [module.training for module in model.modules()]
    train.fit(model, toy(), steps=2)
    train.evaluate(model, toy())
    models.hidden(model, toy()[0])
    assert [module.training for module in model.modules()] == before
    assert model[1].num_batches_tracked == 2  # it did train in training mode, and was measured in evaluation mode


def test_silent_when_told_and_a_bar_with_the_loss_otherwise(capfd, monkeypatch):
    train.fit(models.mlp([6, 3], seed=0), toy(), steps=60)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("LABKIT_PROGRESS", "1")
    monkeypatch.setattr(train, "_BAR_AFTER", 600)  # seconds: on a busy machine nothing is short
    train.fit(models.mlp([6, 3], seed=0), toy(), steps=60)
    assert capfd.readouterr() == ("", ""), "a short training shows no bar"
    monkeypatch.setattr(train, "_BAR_AFTER", 0)
    slow = lambda step, model: time.sleep(0.12)  # noqa: E731
    train.fit(models.mlp([6, 3], seed=0), toy(), steps=60, experiment="my test", callback=slow, callback_steps=[50, 60])
    assert re.search(r"my test:.*/60.*loss=[\d.]+", capfd.readouterr().err)


# Bad input: one sentence ----------------------------------------------------------------------------------------------

INPUTS, TARGETS = toy()
WITH_NAN = INPUTS.clone()
WITH_NAN[3, 2] = float("nan")


@pytest.mark.parametrize(
    ("examples", "settings", "words"),
    [
        ((INPUTS, TARGETS[:-1]), {}, "targets of shape [99] must hold a row for each example"),
        ((INPUTS[:, :5], TARGETS), {}, "cannot take inputs torch.float32 of shape [2, 5]"),
        ((INPUTS[:0], TARGETS[:0]), {}, "must hold a row for each example"),
        ((INPUTS, torch.where(TARGETS == 2, 7, TARGETS)), {}, "Target 7 is out of bounds"),
        ((INPUTS, TARGETS - 1), {}, "Target -1 is out of bounds"),
        ((WITH_NAN, TARGETS), {}, "NaN or infinite"),
        ((INPUTS / 0, TARGETS), {}, "NaN or infinite"),
        ((INPUTS, TARGETS.float()), {"loss": F.mse_loss}, "cannot compare outputs [2, 3] with"),
        ((INPUTS, TARGETS.unsqueeze(1)), {}, "cannot compare outputs [2, 3] with targets [2, 1]"),
        ((INPUTS.unsqueeze(2), TARGETS), {}, "cannot take inputs torch.float32 of shape [2, 6, 1]"),
        ((INPUTS, TARGETS), {"loss": lambda o, t: F.cross_entropy(o, t, reduction="none")}, "must be one number"),
        ((INPUTS, TARGETS), {"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ((INPUTS, TARGETS), {"steps": 1.5}, "steps must be a whole number of at least 1, not 1.5"),
        ((INPUTS, TARGETS), {"steps": "3"}, "steps must be a whole number of at least 1, not '3'"),
        ((INPUTS, TARGETS), {"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ((INPUTS, TARGETS), {"learning_rate": None}, "learning_rate=None: give one number"),
        ((INPUTS, TARGETS), {"schedule": lambda step, steps: None}, "must be a string or a real number"),
        ((INPUTS, TARGETS), {"loss": "mse"}, "'str' object is not callable"),
        ((INPUTS, TARGETS), {"loss": nn.CrossEntropyLoss}, "The loss or metric cannot compare"),
        ((INPUTS, TARGETS), {"loss": accuracy}, "The loss must be one number, the mean over the batch, as a tensor"),
        (
            (INPUTS, TARGETS),
            {"loss": lambda o, t: (o.argmax(1) == t).double().mean()},
            "An update by a batch of 100 examples fails: element 0 of tensors does not require grad",
        ),
        ((INPUTS, TARGETS), {"optimizer": torch.optim.LBFGS}, "LBFGS.step() missing 1 required positional argument"),
        ((INPUTS, TARGETS), {"optimizer": torch.optim.SparseAdam}, "SparseAdam does not support dense gradients"),
        ((INPUTS, TARGETS.float()), {}, "with targets [2]: expected"),
        ((INPUTS, np.array(["cat"] * 100)), {}, "targets must hold numbers"),
        ((pd.DataFrame({"a": ["x"] * 100}), TARGETS), {}, "inputs must hold numbers"),
        (([[1.0], [1.0, 2.0]], [0, 1]), {}, "in rows of one length"),
        ((INPUTS.double() * 1e300, TARGETS), {}, "NaN or infinite values as torch.float32"),
        (
            (INPUTS.to(torch.uint8), TARGETS),
            {},
            "cannot take inputs torch.uint8",
        ),
        ((INPUTS, TARGETS), {"optimizer": "adma"}, "optimizer='adma' is unknown: choose from sgd, adam, adamw"),
        ((INPUTS, TARGETS), {"schedule": "linear"}, "schedule='linear' is unknown: choose from constant, cosine"),
        ((INPUTS, TARGETS), {"momentum": 0.9}, 'momentum is for optimizer="sgd"'),
        (
            data.stack([data.Examples(INPUTS, TARGETS)] * 2),
            {},
            "stacked for 2 replicates: train an Ensemble of as many",
        ),
    ],
)
def test_bad_input_is_one_clear_sentence(examples, settings, words):
    model = models.mlp([6, 8, 3], seed=0)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        train.fit(model, examples, **{"steps": 2, **settings})
    assert len(str(caught.value).splitlines()) == 1
    assert_same_weights(model, models.mlp([6, 8, 3], seed=0))
    assert Ledger().query("SELECT * FROM training_run").empty


def network(norm=None, frozen=False, outputs=3):
    return models.mlp([6, 8, outputs], seed=0, norm=norm).requires_grad_(not frozen)


class Returns(nn.Module):
    """A network that also returns what it was given."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs):
        return self.layer(inputs), inputs


@pytest.mark.parametrize(
    ("model", "examples", "words"),
    [
        (Returns(), toy(), "must return one tensor, its outputs, not a tuple"),
        (network(norm="batch"), toy(n=1), "a batch of 1 examples fails: Expected more than 1 value per channel"),
        (network(frozen=True), toy(), "does not require grad"),
        (nn.Sequential(nn.Identity()), toy(), "empty parameter list"),
    ],
)
def test_models_that_cannot_be_trained_are_refused_before_a_run_is_recorded(model, examples, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        train.fit(model, examples, steps=2)
    assert len(str(caught.value).splitlines()) == 1
    assert Ledger().query("SELECT * FROM training_run").empty


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (INPUTS.numpy().astype(">f4"), TARGETS.numpy().astype(">i8")),
        (INPUTS.numpy()[::-1], TARGETS.numpy()[::-1]),
        (INPUTS.numpy(), TARGETS.numpy().astype(np.uint16)),
        (INPUTS.numpy()[5:], pd.Series(TARGETS.numpy())[5:]),
        (pd.DataFrame(INPUTS.numpy()).assign(a=True).iloc[:, 1:], pd.Series(TARGETS.numpy(), dtype="Int64")),
        (INPUTS.tolist(), TARGETS.tolist()),
        (INPUTS > 0, TARGETS),
        (INPUTS.clone().requires_grad_(), TARGETS),
        (INPUTS.half(), TARGETS.to(torch.int8)),
        (INPUTS.bfloat16(), TARGETS),
    ],
)
def test_numbers_of_any_kind_are_taken(inputs, targets):
    history = train.fit(network(), (inputs, targets), steps=2)
    assert history.status == "completed"
    assert 0 <= train.evaluate(network(), (inputs, targets)) <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_of_low_precision_are_trained_saved_and_loaded(dtype):
    model = trained([6, 8, 3], dtype=dtype)
    loaded = checkpoint.load_checkpoint(models.mlp([6, 8, 3], seed=1, dtype=dtype), checkpoint.save_checkpoint(model))
    assert_same_weights(loaded, model)


def test_settings_may_be_numpys_or_pytorchs_numbers():
    plain, other = network(), network()
    train.fit(plain, toy(), steps=100, batch_size=20, learning_rate=0.25, weight_decay=0.5, seed=3)
    settings = {"learning_rate": torch.tensor(0.25), "weight_decay": 0.5, "seed": torch.tensor(3)}
    train.fit(other, toy(), steps=1e2, batch_size=np.int64(20), schedule=lambda *_: np.float32(1), **settings)
    assert_same_weights(plain, other)


REGRESSIONS = {
    "mse_loss": F.mse_loss,
    "MSELoss": nn.MSELoss(),
    "<lambda>": lambda outputs, targets: F.l1_loss(outputs, targets),
    "by hand": lambda outputs, targets: (outputs - targets).square().mean(),
    "partial": functools.partial(F.huber_loss, delta=2.0),
    "smooth_l1_loss": F.smooth_l1_loss,
    "PoissonNLLLoss": nn.PoissonNLLLoss(),
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_shapes_that_pytorch_would_broadcast_are_refused(name):
    examples, words = (INPUTS, INPUTS[:, 0].abs()), "cannot compare outputs [{n}, 1] with targets [{n}]"
    with pytest.raises(ValueError, match=re.escape(words.format(n=2))):
        train.fit(network(outputs=1), examples, steps=2, loss=REGRESSIONS[name])
    with pytest.raises(ValueError, match=re.escape(words.format(n=100))):
        train.evaluate(network(outputs=1), examples, metric=REGRESSIONS[name])
    assert Ledger().query("SELECT id FROM training_run UNION ALL SELECT id FROM split").empty


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0])), nn.CrossEntropyLoss()])
def test_weighted_classes_and_left_out_labels_are_no_reason_to_warn(loss):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train.fit(network(), (INPUTS, torch.where(TARGETS == 2, -100, TARGETS)), steps=2, loss=loss)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(ignore_index=-1),
        functools.partial(F.cross_entropy, ignore_index=-1),
        lambda outputs, targets: F.cross_entropy(outputs, targets, ignore_index=-1),
    ],
)
def test_a_label_that_the_loss_leaves_out_is_taken(loss):
    labels = torch.where(TARGETS == 0, -1, TARGETS)
    assert train.fit(network(), (INPUTS, labels), steps=2, loss=loss).status == "completed"
    labels[5] = 3
    with pytest.raises(ValueError, match="Target 3 is out of bounds"):
        train.fit(network(), (INPUTS, labels), steps=2, loss=loss)


def test_a_trial_changes_neither_model_nor_loss():
    class Anneals:
        """A loss that counts how often it was used in training."""

        used = 0

        def __call__(self, outputs, targets):
            self.used += outputs.requires_grad
            return F.cross_entropy(outputs, targets)

    model, loss = network(norm="batch"), Anneals()
    with pytest.raises(ValueError, match="LBFGS"):
        train.fit(model, toy(), steps=2, loss=loss, optimizer=torch.optim.LBFGS)
    assert_same_weights(model, network(norm="batch"))
    assert all(p.grad is None for p in model.parameters())
    assert loss.used == 0
    train.fit(model, toy(), steps=2, loss=loss)
    assert loss.used == 2


def test_fit_trains_where_gradients_are_switched_off():
    with torch.no_grad():
        assert train.fit(network(), toy(), steps=2).status == "completed"


def test_examples_changed_in_place_are_checked_again():
    examples = data.Examples(INPUTS.clone(), TARGETS, role="train")
    examples.inputs[0, 0] = float("inf")
    with pytest.raises(ValueError, match="NaN or infinite"):
        train.fit(models.mlp([6, 3], seed=0), examples, steps=1)


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match="expected 2"):
        train.fit(models.mlp([6, 3], seed=0), INPUTS, steps=1)


def test_the_variable_names_the_device_unless_an_argument_does(monkeypatch):
    monkeypatch.setenv("LABKIT_DEVICE", "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert train.device() == torch.device("cuda:1")
    assert train.device("cpu") == torch.device("cpu")


def test_a_missing_device_is_named_before_anything_is_recorded():
    for name in {"cuda", "mps"} - {"cuda" * torch.cuda.is_available(), "mps" * torch.backends.mps.is_available()}:
        with pytest.raises(RuntimeError, match=f"finds no {name}: install its driver"):
            train.fit(models.mlp([6, 3], seed=0), toy(), steps=1, device=name)
    assert Ledger().query("SELECT id FROM training_run").empty


def test_the_best_device_by_default_but_apples_only_when_asked(monkeypatch):
    monkeypatch.delenv("LABKIT_DEVICE", raising=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert train.device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train.device().type == "cpu"
    assert train.device("mps").type == "mps"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_draws_the_same_batches_and_reaches_about_the_same_weights():
    results = [models.mlp([6, 8, 3], seed=0, dtype=torch.float64) for _ in range(2)]
    for model, place in zip(results, ["cpu", "cuda"], strict=True):
        train.fit(model, toy(), steps=20, batch_size=20, device=place)
        train.Ensemble([6, 8, 3], [0, 1]).fit(toy(), steps=20, device=place)
    assert_same_weights(results[1].cpu(), results[0], rtol=1e-9, atol=1e-9)


# How a run can end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "word"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_divergence_is_one_sentence_and_keeps_the_history(how, word):
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        return F.cross_entropy(outputs, targets) * (how if len(calls) == 70 else 1)

    forget = {"callback": lambda step, model: calls.clear(), "callback_steps": [0]}  # what fit tried before
    model = models.mlp([6, 3], seed=0)
    with pytest.raises(train.TrainingDiverged) as caught:
        train.fit(model, toy(), steps=200, learning_rate=0.5, loss=loss, **forget)
    message = str(caught.value)
    assert f"became {word} at step 70 with learning rate 0.5: try a smaller one" in message
    assert len(message.splitlines()) == 1
    history = caught.value.history
    assert np.isfinite(history.loss[:69]).all()
    assert not np.isfinite(history.loss[69])
    row = run_row(history.run_id)
    assert (row.status, row.steps_done) == ("diverged", len(history.loss))
    assert message in row.error


def test_a_real_divergence():
    with pytest.raises(train.TrainingDiverged, match="learning rate 1e\\+30"):
        train.fit(
            models.mlp([6, 8, 3], seed=0), toy(), steps=500, optimizer="sgd", learning_rate=1e30, loss=F.cross_entropy
        )


def test_ctrl_c_leaves_a_usable_model_and_history():
    def stop(step, model):
        raise KeyboardInterrupt

    model = models.mlp([6, 8, 3], seed=0)
    with pytest.warns(UserWarning, match="interrupted after 7 of 100 steps: the model can be used"):
        history = train.fit(model, toy(), steps=100, callback=stop, callback_steps=[7])
    assert history.status == "interrupted"
    expected = models.mlp([6, 8, 3], seed=0)
    np.testing.assert_array_equal(train.fit(expected, toy(), steps=7).loss, history.loss)
    assert_same_weights(model, expected)
    row = run_row(model.run_id)
    assert (row.status, row.steps_done, row.steps_planned) == ("interrupted", 7, 100)
    assert row.finished_at is not None
    assert train.fit(model, toy(), steps=2).status == "completed"


def test_ctrl_c_before_the_first_step():
    def stop(step, model):
        raise KeyboardInterrupt

    for model, shape in [(models.mlp([6, 3], seed=0), (0,)), (train.Ensemble([6, 3], [0, 1]), (0, 2))]:
        with pytest.warns(UserWarning, match="after 0 of 5"):
            assert train.fit(model, toy(), steps=5, callback=stop).loss.shape == shape


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_real_sigint(tmp_path):
    script = tmp_path / "long_run.py"
    script.write_text(
        textwrap.dedent("""
        import signal
        import torch
        from labkit import data, models, train

        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        inputs, targets = torch.randn(100, 6), torch.randint(3, (100,))
        announce = lambda step, model: print("running", flush=True)
        for model in (models.mlp([6, 8, 3], seed=0), train.Ensemble([6, 8, 3], [0, 1])):
            history = train.fit(model, (inputs, targets), steps=10**7, callback=announce, callback_steps=[5])
            assert 5 <= len(history.loss) < 10**7, len(history.loss)
            assert torch.isfinite(model(inputs)).all() and train.evaluate(model, (inputs, targets)) is not None
            print(history.status, flush=True)
        """),
        encoding="utf-8",
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(2):
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "the model can be used" in errors
    assert "Traceback" not in errors


def test_a_crash_is_recorded_and_raised():
    def crash(step, model):
        raise ZeroDivisionError("by me")

    model = models.mlp([6, 3], seed=0)
    with pytest.raises(ZeroDivisionError, match="by me"):
        train.fit(model, toy(), steps=9, callback=crash, callback_steps=[4])
    row = run_row(model.run_id)
    assert (row.status, row.steps_done, row.error) == ("failed", 4, "ZeroDivisionError: by me")


def test_training_goes_on_without_a_ledger(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "file" / "outputs"))
    model, twin = models.mlp([6, 3], seed=0), models.mlp([6, 3], seed=0)
    with pytest.warns(UserWarning, match="cannot be written"):
        history = train.fit(model, toy(), steps=3)
    assert (history.run_id, model.run_id, history.status) == (None, None, "completed")
    assert train.evaluate(model, toy()) >= 0
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "outputs"))
    train.fit(twin, toy(), steps=3)
    assert_same_weights(model, twin)


# The record -----------------------------------------------------------------------------------------------------------


def test_a_run_is_recorded_with_data_architecture_settings_curve_and_cost():
    shuffled = DIGITS.train.replace(targets=DIGITS.train.targets.flip(0), transform="labels shuffled")
    model = models.mlp([64, 16, 10], seed=0)
    settings = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "learning_rate": 0.02}
    history = train.fit(model, shuffled, steps=250, seed=11, experiment="shuffled", schedule="cosine", **settings)
    ledger = Ledger()
    row = ledger.query(
        "SELECT r.*, d.name AS dataset, d.sha256 AS d_sha, s.sha256 AS s_sha, s.transform, s.role, s.n_examples, "
        "a.name AS architecture, a.n_parameters, c.seconds, c.flops, c.power_watts, c.device, c.threads "
        "FROM training_run r "
        "JOIN split s ON s.id = r.split_id JOIN dataset d ON d.id = s.dataset_id JOIN compute c ON c.run_id = r.id "
        "JOIN architecture a ON a.id = r.architecture_id"
    ).iloc[0]
    assert row.id == history.run_id == model.run_id
    assert (row.experiment, row.seed, row.status, row.steps_done, row.steps_planned) == (
        "shuffled",
        11,
        "completed",
        250,
        250,
    )
    assert (row.objective, row.optimizer, row.batch_size) == ("cross_entropy", "sgd", 128)
    assert (row.learning_rate, row.weight_decay) == (0.02, 1e-4)
    assert '"schedule": "cosine"' in row.config
    assert '"momentum": 0.9' in row.config
    assert row.final_loss == history.loss[-1]
    assert (row.dataset, row.d_sha, row.s_sha) == ("digits", DIGITS.train.dataset["sha256"], shuffled.sha256)
    assert (row["transform"], row.role, row.n_examples) == ("labels shuffled", "train", 1097)
    assert (row.architecture, row.n_parameters) == ("MLP 64-16-10", 64 * 16 + 16 + 16 * 10 + 10)
    # Forward 2 FLOPs a weight and example; backward twice that, less the gradient at the inputs: nobody needs it.
    assert row.flops == 250 * 128 * (6 * (64 * 16 + 16 * 10) - 2 * 64 * 16)
    assert row.seconds == pytest.approx(history.seconds)
    assert row.power_watts is None
    assert (row.device, row.threads) == (train.device().type, torch.get_num_threads())
    curve = ledger.query("SELECT step, value FROM training_metric WHERE name = 'loss' ORDER BY step")
    assert len(curve) == 100
    assert (curve.step.iloc[0], curve.step.iloc[-1]) == (1, 250)
    np.testing.assert_array_equal(curve.value, history.loss[curve.step - 1])
    assert ledger.integrity() == "ok"


def test_the_same_data_and_architecture_are_one_row():
    for seed in range(2):
        train.fit(models.mlp([64, 4, 10], seed=seed), DIGITS.train, steps=1, seed=seed)
    train.fit(models.mlp([64, 4, 10], seed=0, activation="tanh"), DIGITS.train, steps=1)
    counts = [len(Ledger().query(f"SELECT id FROM {t}")) for t in ("dataset", "split", "architecture", "training_run")]
    assert counts == [1, 1, 2, 3]


def test_any_module_is_recorded():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, inputs):
            return self.layer(inputs) * (1 if inputs.sum().item() > 0 else 2)

    train.fit(Odd(), toy(), steps=1)
    found = Ledger().query("SELECT name, config, flops FROM architecture, compute").iloc[0]
    assert found["name"] == "Odd"
    assert "'in_features': 6" in found.config
    assert found.flops == 100 * 4 * 18


@pytest.mark.parametrize("norm", [None, "batch"])
def test_flops_of_a_step_are_six_a_weight_and_example_but_four_in_the_first_layer(norm):
    train.fit(models.mlp([6, 8, 5, 3], seed=0, norm=norm), toy(), steps=2)
    assert Ledger().query("SELECT flops FROM compute").flops[0] == 2 * 100 * (6 * (48 + 40 + 15) - 2 * 48)


# evaluate -------------------------------------------------------------------------------------------------------------


def test_evaluate_measures_and_records():
    model = models.mlp([64, 16, 10], seed=0, norm="batch")
    train.fit(model, DIGITS.train, steps=40)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups = ["even" if target % 2 == 0 else "odd" for target in DIGITS.test.targets.tolist()]
    place = {"name": "other writers", "population": "adults", "shift": "handwriting"}
    results = train.evaluate(model, DIGITS.test, environment=place, groups=groups)
    model.eval()
    with torch.no_grad():
        right = (model(DIGITS.test.inputs).argmax(1) == DIGITS.test.targets).double()
    even = DIGITS.test.targets % 2 == 0
    assert results == {"": right.mean(), "even": right[even].mean(), "odd": right[~even].mean()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    rows = Ledger().query(
        "SELECT e.*, v.name AS environment, v.shift, s.role FROM evaluation e JOIN environment v ON v.id = "
        "e.environment_id JOIN split s ON s.id = e.split_id ORDER BY e.id"
    )
    assert rows.group_name.tolist() == ["", "even", "odd"]
    assert rows.value.tolist() == list(results.values())
    assert rows.n_examples.tolist() == [500, int(even.sum()), int((~even).sum())]
    assert set(rows.metric) == {"accuracy"}
    assert set(rows.environment) == {"other writers"}
    assert set(rows.role) == {"test"}
    assert set(rows.run_id) == {model.run_id}


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        (["b", "a"] * 50, ["a", "b"]),
        (pd.Series(["a", "b"] * 50, index=range(5, 105)), ["a", "b"]),
        (pd.Categorical(["a", "b"] * 50), ["a", "b"]),
        (torch.arange(100) % 12, [str(i) for i in range(12)]),
        ([1, "a"] * 50, ["1", "a"]),
    ],
)
def test_groups_of_any_kind_get_names_in_order(groups, names):
    assert list(train.evaluate(network(), toy(), groups=groups)) == ["", *names]


@pytest.mark.parametrize("groups", [["", "a"] * 50, [None, "a"] * 50, [" ", "a"] * 50, pd.Series([np.nan, "a"] * 50)])
def test_a_group_without_a_name_is_refused_before_anything_is_recorded(groups):
    with pytest.raises(ValueError, match="groups must give each of the 100 examples a group's name"):
        train.evaluate(network(), toy(), groups=groups)
    with pytest.raises(ValueError, match="can be converted to Python scalars"):
        train.evaluate(network(), toy(), metric=lambda outputs, targets: outputs[:, 0] + targets)
    assert Ledger().query("SELECT id FROM environment UNION ALL SELECT id FROM split").empty


def test_evaluate_an_untrained_model_and_bad_input():
    model = models.mlp([6, 3], seed=0)
    assert isinstance(train.evaluate(model, toy()), float)
    assert Ledger().query("SELECT run_id FROM evaluation").run_id.isna().all()
    with pytest.raises(ValueError, match="The model cannot take inputs"):
        train.evaluate(model, (INPUTS[:, :5], TARGETS))
    with pytest.raises(ValueError, match="each of the 100 examples"):
        train.evaluate(model, toy(), groups=["a"])


# Checkpoints ----------------------------------------------------------------------------------------------------------


def test_checkpoint_round_trip(tmp_path):
    model = models.mlp([6, 8, 3], seed=0, norm="batch")
    train.fit(model, toy(), steps=5)
    path = checkpoint.save_checkpoint(model)
    assert path.parent == tmp_path / "outputs" / "checkpoints"
    loaded = models.mlp([6, 8, 3], seed=1, norm="batch")
    assert checkpoint.load_checkpoint(loaded, path) is loaded
    assert_same_weights(loaded, model)
    row = Ledger().query("SELECT * FROM checkpoint").iloc[0]
    assert (row.run_id, row.step, row.bytes) == (model.run_id, 5, path.stat().st_size)
    assert row.path == f"checkpoints/{path.name}"


def test_checkpoint_of_an_ensemble(tmp_path):
    ensemble = train.Ensemble([6, 8, 3], [0, 1])
    ensemble.fit(toy(), steps=2)
    path = checkpoint.save_checkpoint(ensemble, tmp_path / "elsewhere" / "pair.safetensors")
    other = checkpoint.load_checkpoint(train.Ensemble([6, 8, 3], [5, 6]), path)
    assert_same_weights(other, ensemble)
    rows = Ledger().query("SELECT run_id, path FROM checkpoint")
    assert rows.run_id.tolist() == ensemble.run_ids == other.run_ids
    assert set(rows.path) == {path.as_posix()}


def test_what_is_loaded_is_evaluated_as_its_training_run(tmp_path):
    model = models.mlp([6, 3], seed=0)
    train.fit(model, toy(), steps=2)
    loaded = checkpoint.load_checkpoint(models.mlp([6, 3], seed=1), checkpoint.save_checkpoint(model))
    train.evaluate(loaded, toy())
    assert Ledger().query("SELECT run_id FROM evaluation").run_id.tolist() == [model.run_id]
    again = checkpoint.save_checkpoint(loaded, tmp_path / "again.safetensors")
    assert_same_weights(checkpoint.load_checkpoint(models.mlp([6, 3], seed=2), again), model)


def test_a_model_that_the_ledger_does_not_know_is_not_saved(tmp_path):
    stranger = models.mlp([6, 3], seed=0)
    stranger.run_id = 7
    for model in (models.mlp([6, 3], seed=0), train.Ensemble([6, 3], [0, 1]), stranger):
        with pytest.raises(ValueError, match="The ledger has no training run of this model"):
            checkpoint.save_checkpoint(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def trained(sizes, **options):
    model = models.mlp(sizes, seed=0, **options)
    train.fit(model, toy(), steps=2)
    return model


def bad_checkpoint(kind, path):
    """Write what is not, or no longer, a checkpoint of the model that `trained([6, 8, 3])` gives."""
    model = trained([6, 8, 3])
    if kind == "pickle":
        return torch.save(model.state_dict(), path)
    if kind == "old pickle":
        return torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    if kind == "no run":
        return safetensors.torch.save_file(model.state_dict(), path)
    if kind == "nonsense run":
        return safetensors.torch.save_file(model.state_dict(), path, metadata={"run_ids": "[x]"})
    if kind == "unknown run":
        return safetensors.torch.save_file(model.state_dict(), path, metadata={"run_ids": "77"})
    if kind == "never saved":
        return safetensors.torch.save_file(model.state_dict(), path, metadata={"run_ids": str(model.run_id)})
    others = {"other width": [6, 9, 3], "deeper": [6, 8, 8, 3], "one output more": [6, 8, 4]}
    dtype = torch.float64 if kind == "other precision" else torch.float32
    activation = "tanh" if kind == "other activation" else "relu"
    model = trained(others.get(kind, [6, 8, 3]), activation=activation, dtype=dtype)
    checkpoint.save_checkpoint(model, path)
    content = bytearray(path.read_bytes())
    if kind == "torn":
        del content[-10:]
    if kind == "empty":
        content.clear()
    if kind == "one bit":
        content[-1] ^= 1  # still a safetensors file, but of another weight
    if kind == "other run":
        content = content.replace(f'"{model.run_id}"'.encode(), f'"{model.run_id - 1}"'.encode())
    path.write_bytes(content)


BAD = {
    "pickle": "is no checkpoint that ledger.sqlite recorded",
    "old pickle": "is no checkpoint that ledger.sqlite recorded",
    "torn": "is no checkpoint that ledger.sqlite recorded",
    "empty": "is no checkpoint that ledger.sqlite recorded",
    "no run": "is no checkpoint that ledger.sqlite recorded",
    "nonsense run": "is no checkpoint that ledger.sqlite recorded",
    "unknown run": "is no checkpoint that ledger.sqlite recorded",
    "never saved": "is no checkpoint that ledger.sqlite recorded",
    "one bit": "is no checkpoint that ledger.sqlite recorded",
    "other run": "is no checkpoint that ledger.sqlite recorded",
    "other width": "holds another architecture: at '0' Linear",
    "deeper": "holds another architecture: at '2' Linear",
    "one output more": "holds another architecture: at '2' Linear",
    "other activation": "holds another architecture: at '1' Tanh {}, where this model has ReLU",
    "other precision": "at '0.weight' float64 [8, 6], where this model has float32 [8, 6]",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_checkpoint_is_refused_with_the_reason_and_the_model_untouched(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    bad_checkpoint(kind, path)
    target = models.mlp([6, 8, 3], seed=4)
    with pytest.raises(ValueError, match=re.escape(BAD[kind])) as caught:
        checkpoint.load_checkpoint(target, path)
    assert len(str(caught.value).splitlines()) == 1
    assert_same_weights(target, models.mlp([6, 8, 3], seed=4))
    assert not hasattr(target, "run_id")


class Setting(nn.Module):
    """A network with a setting of whatever kind."""

    def __init__(self, setting):
        super().__init__()
        self.layer, self.setting, self.cache = nn.Linear(6, 3), setting, None

    def forward(self, inputs):
        self.cache = inputs
        return self.layer(inputs)


def between(*layers):
    return nn.Sequential(nn.Linear(6, 8), *layers, nn.Linear(8, 3))


def residual(first):
    return models.mlp([6, 8, 8, 3], seed=0, residual=True, activation=[first, "relu"])


PAIRS = {
    "GELU's form": (between(nn.GELU("tanh")), between(nn.GELU("none"))),
    "a slope": (between(nn.LeakyReLU(0.1)), between(nn.LeakyReLU(0.2))),
    "a norm's epsilon": (between(nn.LayerNorm(8, eps=1e-5)), between(nn.LayerNorm(8, eps=1e-3))),
    "inside a block": (residual("tanh"), residual("relu")),
    "a layer more": (nn.Sequential(nn.Linear(6, 3)), nn.Sequential(nn.Linear(6, 3), nn.Tanh())),
    "a number": (Setting(2), Setting(3)),
    "a function": (Setting(torch.tanh), Setting(F.relu)),
    "a partial": (Setting(functools.partial(F.gelu, approximate="tanh")), Setting(functools.partial(F.gelu))),
    "a namespace": (Setting(types.SimpleNamespace(heads=1)), Setting(types.SimpleNamespace(heads=2))),
    "a dictionary": (Setting({"heads": [1, 2]}), Setting({"heads": [1, 3]})),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_checkpoint_of_another_architecture_is_refused_and_two_are_two_rows(pair):
    model, other = (copy.deepcopy(each) for each in PAIRS[pair])
    train.fit(model, toy(), steps=1)
    path = checkpoint.save_checkpoint(model)
    with pytest.raises(ValueError, match="holds another architecture") as caught:
        checkpoint.load_checkpoint(other, path)
    assert len(str(caught.value).splitlines()) == 1
    assert checkpoint.load_checkpoint(copy.deepcopy(PAIRS[pair][0]), path).run_id == model.run_id
    train.fit(other, toy(), steps=1)
    assert len(Ledger().query("SELECT id FROM architecture")) == 2


def test_a_network_without_biases_is_another_architecture():
    for bias in (True, False):
        train.fit(nn.Sequential(nn.Linear(6, 3, bias=bias)), toy(), steps=1)
    assert Ledger().query("SELECT n_parameters FROM architecture").n_parameters.tolist() == [21, 18]


def test_a_converted_model_is_saved_and_loaded():
    model = trained([6, 8, 3]).to(torch.bfloat16)
    loaded = models.mlp([6, 8, 3], seed=1, dtype=torch.bfloat16)
    assert_same_weights(checkpoint.load_checkpoint(loaded, checkpoint.save_checkpoint(model)), model)


@pytest.mark.parametrize("wrap", ["whole", "in place"])
@pytest.mark.filterwarnings("ignore:Using `torch.compile")
def test_a_compiled_model_is_recorded_saved_and_loaded_as_the_plain_one(wrap):
    plain, twin = network(), network()
    compiled = plain
    if wrap == "whole":
        compiled = torch.compile(plain, backend="eager")
    else:
        compiled.compile(backend="eager")
    train.fit(compiled, toy(), steps=3)
    train.fit(twin, toy(), steps=3)
    path = checkpoint.save_checkpoint(compiled)
    assert_same_weights(checkpoint.load_checkpoint(network(), path), twin)
    assert checkpoint.load_checkpoint(compiled, path) is compiled
    assert train.evaluate(compiled, toy()) == train.evaluate(twin, toy())
    train.evaluate(plain, toy())
    assert Ledger().query("SELECT run_id FROM evaluation ORDER BY id").run_id.tolist() == [1, 2, 1]
    assert Ledger().query("SELECT name FROM architecture").name.tolist() == ["MLP 6-8-3"]


@pytest.mark.filterwarnings("ignore:Using `torch.compile")
def test_a_compiled_ensemble():
    ensemble = train.Ensemble([6, 8, 3], [0, 1])
    compiled = torch.compile(ensemble, backend="eager")
    train.fit(compiled, toy(), steps=2)
    checkpoint.load_checkpoint(train.Ensemble([6, 8, 3], [2, 3]), checkpoint.save_checkpoint(compiled))
    assert train.evaluate(compiled, toy()).shape == (2,)


def test_a_model_whose_run_could_not_be_recorded_is_told_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "file" / "outputs"))
    with pytest.warns(UserWarning, match="cannot be written"):
        model = trained([6, 3])
    with pytest.raises(ValueError, match=r"fit it while .* can be written"):
        checkpoint.save_checkpoint(model)


def test_a_file_moved_to_another_ledger_is_refused(tmp_path, monkeypatch):
    path = checkpoint.save_checkpoint(trained([6, 8, 3]), tmp_path / "model.safetensors")
    monkeypatch.setenv("LABKIT_OUTPUTS", str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"no checkpoint that ledger\.sqlite recorded"):
        checkpoint.load_checkpoint(models.mlp([6, 8, 3], seed=4), path)
    trained([6, 8, 3])  # a run 1 in this ledger, too
    with pytest.raises(ValueError, match="or another's"):
        checkpoint.load_checkpoint(models.mlp([6, 8, 3], seed=4), path)


# models ---------------------------------------------------------------------------------------------------------------


def test_mlp_is_drawn_by_its_seed_alone():
    first = models.mlp([6, 8, 3], seed=1)
    torch.manual_seed(99)
    assert_same_weights(first, models.mlp([6, 8, 3], seed=1))
    assert not torch.equal(first[0].weight, models.mlp([6, 8, 3], seed=2)[0].weight)
    assert torch.equal(first[0].weight.double(), models.mlp([6, 8, 3], seed=1, dtype=torch.float64)[0].weight)
    torch.manual_seed(1)
    assert torch.equal(first[0].weight, nn.Linear(6, 8).weight)  # PyTorch's own initialisation


def test_mlp_layers_and_hidden():
    model = models.mlp([6, 8, 2, 3], seed=0, activation=["relu", "identity"], norm="batch")
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.Identity, nn.Linear]
    assert [type(layer) for layer in model] == kinds
    first, second = models.hidden(model, INPUTS)
    model.eval()
    torch.testing.assert_close(first, model[:3](INPUTS))
    torch.testing.assert_close(second, model[:6](INPUTS))
    assert models.hidden(models.mlp([6, 3], seed=0), INPUTS) == []


@pytest.mark.parametrize(
    ("sizes", "activation", "words"),
    [
        ([6], "relu", "give the numbers of features and of outputs"),
        ([6, 0, 3], "relu", "each at least 1"),
        ([6, 4, 3], "rleu", "choose from relu"),
        ([6, 4, 3], ["relu", "relu"], "argument 2 is longer"),
    ],
)
def test_mlp_refuses_nonsense(sizes, activation, words):
    with pytest.raises(ValueError, match=words):
        models.mlp(sizes, seed=0, activation=activation)


def test_fits_default_device_follows_the_variable(monkeypatch):
    monkeypatch.setitem(os.environ, "LABKIT_DEVICE", "cpu")
    assert train.device() == torch.device("cpu")
