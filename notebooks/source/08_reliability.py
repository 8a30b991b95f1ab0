# %% [markdown]
# # Does it hold where it is used?
#
# **In one sentence:** a network that is right on average can fail a group, be sure of its errors, miss a broken sensor, fall to a
# change that nobody sees, teach itself its own mistakes and answer what it cannot know; you measure each over five
# replicates, against a control that lacks the cause, and find that no single number says which system to trust.
#
# After this notebook you can
#
# 1. **measure** accuracy by group with intervals, choose a remedy by its price, and show why fairness measures conflict;
# 2. **test** calibration, repair it on validation data, and say where the repair and a conformal guarantee end;
# 3. **run** drift tests and a monitor with known false alarms and delay, and choose between retraining, rolling back and abstaining;
# 4. **attack** a network, harden it, and expose a defence that only hides its gradients;
# 5. **keep** a feedback loop honest with a random slice, and a language model with a threshold;
# 6. **show** how far a score of reliability depends on its weights.
#
# **You need** notebooks 00 to 04: replicate, claim, control, `Ensemble`, gradient, calibration error. From mathematics: conditional
# probability, quantiles.
#
# **Reading:** 75 minutes. **Running:** about 50 seconds on one CPU core.

# %%
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from labkit import data, figures, measure
from labkit.evidence import claim, predict
from labkit.ledger import Ledger, save_table
from labkit.models import NextCharacter, hidden, mlp
from labkit.train import Ensemble, device, evaluate, fit

figures.style()
DEVICE = device()

# %% tags=["parameters"]
BASE_SEED = 0  # replicate r draws everything from seed BASE_SEED + r
REPLICATES = 5
RARE = 15  # section 1: training examples in each of the two rare groups
REPEATS, AT_ONCE = 100, 160  # section 3: repeats of each test, signals on each side
STREAMS, DAYS, A_DAY = 1000, 60, 25  # section 3: streams a monitor watches, their length, signals a day
EPS = 0.1  # section 4: largest change of a pixel, which lies between 0 and 1
ROUNDS, APPLICANTS = 6, 300  # section 5
NAMES = 100  # section 6: facts in the text
WEIGHTINGS = 20_000  # section 7

# %% [markdown]
# ## 1. Right on average, for whom?
#
# ### A shortcut
#
# An office sorts digits into *low* (0 to 4) and *high* (5 to 9). Two scanners are in use. Each leaves a strip on the top
# row: one dark, one bright. By an accident of routing almost all high digits in the training data came from the bright scanner.


# %%
SEEDS = [BASE_SEED + replicate for replicate in range(REPLICATES)]
WORLDS = [seed + half for seed in SEEDS for half in (0, 5000)]  # two worlds a replicate
GROUPS = ["low, dark", "low, bright", "high, dark", "high, bright"]  # the two in the middle are rare


def scanned(examples, bright, seed):
    """The same digits as the scanners give them. bright [n]: which scanner. The factor `group` counts as GROUPS does."""
    noise = 0.1 * torch.randn(len(examples), 8, generator=torch.Generator().manual_seed(seed))
    high, inputs = (examples.targets >= 5).long(), examples.inputs.clone()
    inputs[:, :8] = 0.5 - bright[:, None] + noise  # 1 is black ink
    tensors = {"inputs": inputs, "targets": high, "factors": {"group": 2 * high + bright}}
    return examples.replace(**tensors, transform="strip of a scanner; low or high")


def routed(examples, rare, seed):
    """High digits on the bright scanner, low ones on the dark, except the first `rare` of each."""
    high = (examples.targets >= 5).long()
    early = torch.where(high == 1, high.cumsum(0), (1 - high).cumsum(0)) <= rare  # the rows are in random order
    return scanned(examples, torch.where(early, 1 - high, high), seed)


def on_both(examples, seed):
    twice = torch.arange(2 * len(examples)) % len(examples)
    both = {"inputs": examples.inputs[twice], "targets": examples.targets[twice], "transform": "each digit twice"}
    return scanned(examples.replace(**both), torch.arange(len(twice)) // len(examples), seed)  # all dark, all bright


cuts = [(data.digits().split(world, test=500, validation=300), world) for world in WORLDS]
train, unrouted = (data.stack([routed(cut.train, rare, world) for cut, world in cuts]) for rare in (RARE, 250))
tests = [on_both(cut.test, world + 500) for cut, world in cuts]
figures.show(
    figures.digit_grid(tests[0].inputs[[0, 500, 1, 501]], ["dark", "bright"] * 2, vmin=-0.6, vmax=1),
    alt="Two handwritten digits, each twice: with a dark and with a bright strip on its top row.",
    caption="The same digits on both scanners.",
)

# %% [markdown]
# The test set has every digit on both scanners, so that each of the four groups has about 250 examples. The *average* weighs
# the groups as the training data do: the rare ones count for 3 %. A replicate is the mean of two worlds (rows, networks). The
# control is the same network, trained on digits that were routed by chance.

# %%
RECIPE = {"steps": 400, "batch_size": 128, "learning_rate": 2e-3, "optimizer": "adamw"}


def networks(examples, experiment, **settings):
    ensemble = Ensemble([64, 64, 64, 2], WORLDS)
    ensemble.fit(examples, experiment=experiment, **RECIPE | settings)
    return [ensemble[k] for k in range(len(WORLDS))]


def pairs(values):
    """Mean over the two worlds of each replicate."""
    return np.array(values).reshape(REPLICATES, 2, -1).mean(1)


BOTH = {"name": "both scanners", "population": "digits", "shift": "scanner no longer tells the class"}


def accuracy_by_group(models):
    """Held-out accuracy [K, 4], also recorded in the ledger, group by group."""
    rows = []
    for model, test in zip(models, tests, strict=True):
        found = evaluate(model, test, environment=BOTH, groups=[GROUPS[g] for g in test.factors["group"]])
        rows.append([found[group] for group in GROUPS])
    return pairs(rows)


def rare(accuracy):
    return accuracy[:, 1:3].mean(1)


SHARES = np.array([0.5 - RARE / 997, RARE / 997, RARE / 997, 0.5 - RARE / 997])  # about: classes are nearly balanced
question = "Average accuracy is above 0.95. How accurate is the network on the two rare groups?"
guess_groups = predict(question, ["about as on the others", "between 0.75 and 0.9", "below 0.75"])
plain, control = networks(train, "routed"), networks(unrouted, "routed by chance")
by_group = {"as it is": accuracy_by_group(plain), "routed by chance": accuracy_by_group(control)}


# %%
def bootstrap(right, draws=1000):
    """Mean of `right` [n] in `draws` resamplings of the examples."""
    rows = torch.randint(len(right), (draws, len(right)), generator=torch.Generator().manual_seed(BASE_SEED))
    return right[rows].mean(1).numpy()


right = (plain[0](tests[0].inputs.to(DEVICE)).argmax(1).cpu() == tests[0].targets).float()
drawn = np.array([bootstrap(right[tests[0].factors["group"] == group]) for group in range(4)])
low, middle, high = np.quantile(np.vstack([SHARES @ drawn, drawn]), [0.05, 0.5, 0.95], axis=1)
average = {name: found @ SHARES for name, found in by_group.items()}
everyone = np.column_stack([average["as it is"], by_group["as it is"]])
fig, ax = plt.subplots(figsize=(7.5, 3.4))
ax.errorbar(range(5), middle, [middle - low, high - middle], fmt="s", capsize=5, label="one network, bootstrap 90 %")
ax.plot(np.arange(5) + 0.2, everyone.T, ".", color="0.4", label="_replicate")
ax.axhline(0.5, color="0.5", linestyle=":", label="guessing")
ax.set_xticks(range(5), labels=["average", *GROUPS])
ax.set(ylabel="held-out accuracy", ylim=(0.2, 1.02))
ax.legend(loc="lower right", fontsize=8)
figures.show(
    fig,
    alt="The average and two groups are near one. The two rare groups are far below, with wide intervals.",
    caption="One network with bootstrap intervals over its test examples; the dots beside it are all replicates.",
)
on_rare = rare(by_group["as it is"])
claim(
    "The accuracy on the rare groups is at least 0.2 below the average",
    average["as it is"] - on_rare,
    at_least=0.2,
    control=average["routed by chance"] - rare(by_group["routed by chance"]),
    control_is="the same difference in networks trained on digits routed by chance",
    source="Sagawa et al. 2020; Geirhos et al. 2020 (shortcut learning)",
)
guess_groups.resolve([on_rare.mean() > 0.9, 0.75 <= on_rare.mean() <= 0.9, on_rare.mean() < 0.75])

# %% [markdown]
# A benchmark would have printed the first point only. The bootstrap interval says how well *this test set* knows *this network*. The
# dots say more: train again, on other rows, and the rare groups move far outside it.
#
# ### Five remedies and their price
#
# Let $\ell_g$ be the mean loss of group $g$, and $n_g$ its size:
#
# - **reweighting**: minimise $\tfrac14 \sum_g \ell_g$ (each example weighs $n / 4 n_g$);
# - **balanced sampling**: draw each group equally often; the same loss on average, but other batches;
# - **balanced sampling with weight decay**: Sagawa et al. found that without strong regularization a network that fits every example gains little;
# - **group DRO** (distributionally robust optimization): minimise $\max_g \ell_g$, by weights $q_g \propto q_g e^{\eta \ell_g}$ that follow the worst group;
# - **last-layer retraining**: keep the network, and fit only its last layer anew on examples that *nothing else has seen*, balanced.


# %%
class GroupDRO:
    """Loss of outputs [n, 2] against columns (class, group): the online algorithm of Sagawa et al. 2020."""

    def __init__(self, rate=0.05):
        self.weights, self.rate = torch.full((4,), 0.25, device=DEVICE), rate

    def __call__(self, outputs, targets):
        each, group = F.cross_entropy(outputs, targets[:, 0].long(), reduction="none"), targets[:, 1].long()
        number = torch.bincount(group, minlength=4).clamp(min=1)
        losses = torch.zeros(4, device=each.device).index_add(0, group, each) / number
        if losses.requires_grad:  # in training
            self.weights = F.normalize(self.weights * (self.rate * losses.detach()).exp(), p=1, dim=0)
        return self.weights @ losses


def weighted(outputs, targets):
    return (F.cross_entropy(outputs, targets[:, 0].long(), reduction="none") * targets[:, 1]).mean()


def columns(examples, second, name):
    targets = torch.stack([examples.targets, second], -1).float()
    return examples.replace(targets=targets, transform=f"second target: {name}")


def balanced(examples, seed):
    """As many examples, each group drawn equally often."""
    generator, group = torch.Generator().manual_seed(seed), examples.factors["group"]
    members = [torch.nonzero(group == g)[:, 0] for g in range(4)]
    rows = torch.cat([m[torch.randint(len(m), (len(group) // 4,), generator=generator)] for m in members])
    tensors = {"inputs": examples.inputs[rows], "targets": examples.targets[rows], "factors": {"group": group[rows]}}
    return examples.replace(**tensors, transform="groups balanced")


# %%
group, decay = train.factors["group"], {"weight_decay": 1.0}
weight = len(train) / 4 / F.one_hot(group, 4).sum(1).gather(1, group)
even = data.stack([balanced(train.replicate(k), world) for k, world in enumerate(WORLDS)])
remedies = {
    "reweighting": networks(columns(train, weight, "weight"), "reweighting", loss=weighted),
    "balanced": networks(even, "balanced"),
    "balanced + decay": networks(even, "balanced + decay", **decay),
    "group DRO + decay": [mlp([64, 64, 64, 2], seed=world) for world in WORLDS],
}
for k, model in enumerate(remedies["group DRO + decay"]):
    own = columns(train, group, "group").replicate(k)
    fit(model, own, loss=GroupDRO(), seed=WORLDS[k], experiment="group DRO", **RECIPE | decay)

kept_back = [on_both(cut.validation.first(150), world + 900) for cut, world in cuts]  # 300: no other part uses them
seen = [
    part.replace(inputs=hidden(plain[k], part.inputs.to(DEVICE))[-1].cpu(), transform="last hidden layer")
    for k, part in enumerate(kept_back)
]
heads = Ensemble([64, 2], WORLDS)
heads.fit(data.stack(seen), steps=400, batch_size=300, learning_rate=1e-2, experiment="last layer only")
remedies["last layer"] = [nn.Sequential(*plain[k][:-1], heads[k][0]) for k in range(len(WORLDS))]
for model, run_id in zip(remedies["last layer"], heads.run_ids, strict=True):
    model.run_id = run_id
by_group |= {name: accuracy_by_group(models) for name, models in remedies.items()}
average = {name: found @ SHARES for name, found in by_group.items()}
print("group labels needed. In training, all 997: reweighting, balanced, group DRO. Kept back, 300: last layer")

# %%
fig, ax = plt.subplots(figsize=(7.5, 3.8))
for i, (name, found) in enumerate(by_group.items()):
    across, up = average[name], rare(found)
    look = {
        "fmt": figures.MARKERS[i % 6],
        "color": figures.PALETTE[i % 6],
        "markerfacecolor": "white" if i > 5 else None,
    }
    spread = {"yerr": up.std(ddof=1), "xerr": across.std(ddof=1), "capsize": 3}
    ax.errorbar(across.mean(), up.mean(), label=name, markevery=1, **spread, **look)
ax.set(xlabel="average accuracy", ylabel="accuracy on the rare groups")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
figures.show(
    fig,
    alt="All remedies lie above the untreated network in the accuracy of the rare groups; the retrained last layer is highest "
    "and furthest left; the network without routing is above all.",
    caption="Mean and standard deviation over replicates: what the rare groups gain (up) and the average pays (left).",
)
lifted = {name: rare(found) - rare(by_group["as it is"]) for name, found in by_group.items()}
claim(
    "Balanced sampling with weight decay raises the rare groups by at least 0.03",
    lifted["balanced + decay"],
    at_least=0.03,
    control=average["balanced + decay"] - average["as it is"],
    control_is="what it adds to the average accuracy, another quantity",
    source="Idrissi et al. 2022; Sagawa et al. 2020",
)
claim(
    "Retraining the last layer raises the rare groups by at least 0.15",
    lifted["last layer"],
    at_least=0.15,
    control=average["last layer"] - average["as it is"],
    control_is="what it adds to the average accuracy, another quantity",
    source="Kirichenko et al. 2023",
)

# %% [markdown]
# Kirichenko's point shows: the network *knows* the digit; its last layer listens to the strip. The price is 300 examples kept away
# from training, with their group, and some average accuracy. The others need the group of every training example. On which of
# them is best the field disagrees: Sagawa et al. rank group DRO first, Idrissi et al. find plain balancing as good. Here
# the four differ less from each other than from either end, and we do not rank them. The control is above all: *the missing examples* are the cause.
#
# ### Three fair rules, one model
#
# Next year the routing has changed: 80 % of the bright scanner's digits are high, and 20 % of the dark one's. Report by scanner
# what a decision maker asks for: accuracy; **precision** (of those called high, how many are); **recall** or true positive
# rate (of the high ones, how many are called so); F1, their harmonic mean; the false positive rate; the share called high.


# %% tags=["nbval-ignore-output"]
BASE = {"dark": 0.2, "bright": 0.8}  # share of high digits by scanner: the base rates


def report(called, high, weight):
    """Decisions of one group: called and high are 0 or 1, weight is how often such an example occurs."""
    tp, fp = (weight * called * high).sum(), (weight * called * (1 - high)).sum()
    positive, everyone = (weight * high).sum(), weight.sum()
    return {
        "accuracy": (weight * (called == high)).sum() / everyone,
        "precision": tp / (tp + fp),
        "recall": tp / positive,
        "F1": 2 * tp / (tp + fp + positive),  # harmonic mean of the two
        "false positives": fp / (everyone - positive),
        "called high": (tp + fp) / everyone,
    }


def decisions(k, scanner, shift=0.0, equal_share=False):
    """In world k, on a scanner: called, high, weight, probability of high. `shift` is added to the logit."""
    rows = slice(0, 500) if scanner == "dark" else slice(500, 1000)
    with torch.no_grad():
        out = remedies["last layer"][k](tests[k].inputs[rows].to(DEVICE)).double().cpu().numpy()
    high, s, p = tests[k].targets[rows].numpy(), out[:, 1] - out[:, 0] + shift, BASE[scanner]
    weight = np.where(high, p / high.sum(), (1 - p) / (1 - high).sum())
    order = np.argsort(-s)
    cut = s[order][np.searchsorted(weight[order].cumsum(), 0.5)] if equal_share else 0
    return (s > cut).astype(int), high, weight, 1 / (1 + np.exp(-s))


called, high, weight, _ = decisions(0, "bright")
library = precision_recall_fscore_support(high, called, sample_weight=weight, average="binary")[:3]
np.testing.assert_allclose([report(called, high, weight)[name] for name in ("precision", "recall", "F1")], library)
reports = {s: pd.DataFrame([report(*decisions(k, s)[:3]) for k in range(len(WORLDS))]).mean() for s in BASE}
pd.DataFrame(reports).round(3)  # by hand and scikit-learn agree: the mean over all worlds

# %% [markdown]
# Three rules that are all called fair: **equalised odds**, the same recall and false positive rate in both groups; **calibration**,
# a probability of 70 % means 70 % in both; **demographic parity**, the same share called high. The arithmetic of one table ties them
# together. With base rate $p$ and precision $\mathrm{PPV}$ (Chouldechova 2017):
#
# $$ \text{false positive rate} = \frac{p}{1-p} \cdot \frac{1-\mathrm{PPV}}{\mathrm{PPV}} \cdot \text{recall} $$
#
# If $p$ differs between groups, PPV, recall and false positive rate cannot all be equal, unless the prediction is perfect. Kleinberg et al. (2017)
# prove the same for calibrated probabilities. Take *one* model, the one with the new last layer, and three rules: one
# threshold for all; the probability corrected for each scanner's base rate; the same share of each scanner.

# %%
RULES = {"one threshold": (0, False), "calibrated by scanner": (1, False), "equal shares": (1, True)}


def gaps(rule, k):
    """In world k: difference in odds between the scanners, error of the mean probability, difference in share."""
    calibrate, equal_share = RULES[rule]
    rows, missed = [], []
    for scanner, p in BASE.items():  # fitted to half and half, whose log odds are 0
        called, high, weight, chance = decisions(k, scanner, calibrate * np.log(p / (1 - p)), equal_share)
        row = report(called, high, weight)
        implied = p / (1 - p) * (1 - row["precision"]) / row["precision"] * row["recall"]
        assert np.isclose(implied, row["false positives"], rtol=1e-9)  # Chouldechova's identity, exactly
        rows, missed = [*rows, row], [*missed, abs((chance * weight).sum() - p)]
    differ = {name: abs(rows[0][name] - rows[1][name]) for name in row}
    return (differ["recall"] + differ["false positives"]) / 2, np.mean(missed), differ["called high"]


gap = {rule: pairs([gaps(rule, k) for k in range(len(WORLDS))]) for rule in RULES}  # [K, 3]
fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.2))
for i, (ax, name) in enumerate(zip(panels, ("equalised odds", "calibration", "parity"), strict=True)):
    figures.dots_with_spread(ax, {rule.replace(" ", "\n", 1): values[:, i] for rule, values in gap.items()})
    ax.set(title=f"{name} violated by", ylabel="difference (rates)" if i == 0 else "", ylim=(0, None))
figures.show(
    fig,
    alt="One threshold violates calibration and parity, calibration by scanner odds and parity, equal shares the odds most.",
    caption="One model, three rules, three measures (0 is fair). No rule is near zero in all three.",
)
claim(
    "Calibrating by scanner makes the odds more unequal, by at least 0.02",
    gap["calibrated by scanner"][:, 0] - gap["one threshold"][:, 0],
    at_least=0.02,
    control=gap["calibrated by scanner"][:, 1] - gap["one threshold"][:, 1],
    control_is="the change of the error of calibration, another measure",
    source="Kleinberg, Mullainathan & Raghavan 2017; Chouldechova 2017",
)

# %% [markdown]
# So "is it fair?" has no answer before someone chooses the measure, and says why. This is the mathematics behind the dispute over
# the COMPAS score: ProPublica measured false positives, its maker precision, and each was right about its own (Chouldechova 2017).

# %% [markdown]
# ## 2. Does it know when it does not know?
#
# ### The gap between confidence and accuracy
#
# From here on the task is MNIST-1D: ten kinds of signals, 40 samples each. The **expected calibration error** of notebook 04 sorts
# answers into bins $B$ by confidence, and takes the mean distance between confidence and accuracy:
#
# $$ \mathrm{ECE} = \sum_B \frac{|B|}{n}\, \bigl|\, \mathrm{confidence}(B) - \mathrm{accuracy}(B) \,\bigr| $$
#
# By hand, for any confidences. The edges are where such code goes wrong: confidence 1 belongs to the last bin, and 0 to the first.


# %%
def bins_of(confidence, right, bins=15):
    """For each bin: number of answers, mean confidence, accuracy. confidence [n] in 0..1, right [n]."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)  # 1.0 would be a bin of its own
    number, sure, correct = (np.bincount(place, w, bins) for w in (np.ones(len(right)), confidence, right))
    return number, sure / np.maximum(number, 1), correct / np.maximum(number, 1)


def ece(confidence, right, bins=15):
    number, sure, correct = bins_of(np.asarray(confidence, float), np.asarray(right, float), bins)
    return float((number * abs(sure - correct)).sum() / number.sum())


assert ece([1, 1, 1, 1], [1, 1, 1, 1]) == 0  # sure and right
assert ece([1, 1, 1, 1], [0, 0, 0, 0]) == 1  # sure and wrong
assert ece([0, 0], [0, 0]) == 0
assert ece([0, 0], [1, 1]) == 1
assert np.isclose(ece([0, 0.5, 0.5, 1], [0, 1, 0, 1]), 0)
assert np.isclose(ece([0.9] * 4 + [0.6] * 4, [1, 1, 1, 0, 1, 0, 0, 0]), (0.15 + 0.35) / 2)
print("right at the edges and on a worked example")

# %%
signals = [data.mnist1d(6000, seed).split(seed, test=1900, validation=1500) for seed in SEEDS]
learn, check, held = (data.stack([getattr(s, part) for s in signals]) for part in ("train", "validation", "test"))
network = Ensemble([40, 128, 128, 10], SEEDS)
network.fit(learn, steps=800, batch_size=100, learning_rate=2e-3, experiment="signals")


def logits(ensemble, inputs):
    """[K, n, 10], float64, on the CPU."""
    with torch.no_grad():
        return ensemble(inputs.to(DEVICE)).double().cpu()


def sure_and_right(values, targets):
    """Confidence and correctness [K, n] as arrays."""
    confidence, answer = values.softmax(-1).max(-1)
    return confidence.numpy(), (answer == targets).double().numpy()


def eces(values, targets):
    return np.array([ece(*pair) for pair in zip(*sure_and_right(values, targets), strict=True)])


raw = logits(network, held.inputs)
np.testing.assert_allclose(eces(raw, held.targets), measure.calibration_error(raw, held.targets), rtol=1e-9)
print("by hand and labkit agree")

# %% [markdown]
# ### One number repairs it
#
# **Temperature scaling** (Guo et al. 2017) divides all logits by one number $T$ before the softmax. The answers stay the same. $T$
# is chosen on *validation* data, where it makes the cross-entropy least. Then the sensor gets noisy: Gaussian noise with standard
# deviation 0.8 on signals whose own is 1.

# %%
guess_noise = predict(
    "T was chosen on clean validation signals. With the noisy sensor, how large is the calibration error after scaling?",
    ["about as small as on clean signals", "larger, but below 0.1", "above 0.1"],
)


def best_temperature(values, targets):
    """[K]: the temperature with the least cross-entropy, out of 200 from 0.3 to 10."""
    grid = torch.logspace(np.log10(0.3), 1, 200, dtype=torch.float64)
    cost = [F.cross_entropy((values / t).mT, targets, reduction="none").mean(1) for t in grid]
    return grid[torch.stack(cost).argmin(0)]


def noisy(inputs, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return inputs + size * torch.randn(inputs.shape, generator=generator)


half = slice(0, 500)  # of the validation signals; the rest serves below
temperature = best_temperature(logits(network, check.inputs[:, half]), check.targets[:, half])[:, None, None]
NOISE = [0, 0.2, 0.4, 0.8]
by_noise = {size: logits(network, noisy(held.inputs, size, BASE_SEED)) for size in NOISE}
error = {}
for label, t in {"as trained": 1, "with temperature": temperature}.items():
    error[label] = np.array([eces(values / t, held.targets) for values in by_noise.values()]).T  # [K, noises]
clean_error, noisy_error = error["with temperature"].mean(0)[[0, -1]]

# %%
fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.5))
for ax, size in zip(panels, (0, 0.8), strict=False):
    for label, t in {"as trained": 1, "with temperature": temperature}.items():
        confidence, right = (v.ravel() for v in sure_and_right(by_noise[size] / t, held.targets))
        number, sure, correct = bins_of(confidence, right, 10)
        ax.plot(sure[number > 50], correct[number > 50], label=label, markevery=1)
    ax.plot([0, 1], [0, 1], color="0.5", linestyle=":", marker="", label="calibrated")
    ax.set(xlabel="confidence", ylabel="accuracy", title=f"noise {size}", xlim=(0, 1), ylim=(0, 1))
panels[0].legend(fontsize=8)
for label, values in error.items():
    figures.lines_with_spread(panels[2], NOISE, values, label, markevery=1)
panels[2].set(xlabel="noise (standard deviation)", ylabel="calibration error", ylim=(0, None))
figures.show(
    fig,
    alt="Reliability diagrams: as trained, accuracy lies below confidence; the temperature moves it to the diagonal on clean "
    "signals and not with noise. Right: the calibration error rises with noise for both.",
    caption="Left and middle: accuracy against confidence, all replicates together. Right: calibration error, each replicate.",
)
claim(
    "On clean signals the temperature lowers the calibration error by at least 0.06",
    error["as trained"][:, 0] - error["with temperature"][:, 0],
    at_least=0.06,
    no_control="the network without the temperature is in the difference",
    source="Guo et al. 2017",
)
claim(
    "With the noisy sensor the calibration error stays at least 0.12 after scaling",
    error["with temperature"][:, -1],
    at_least=0.12,
    control=error["with temperature"][:, 0],
    control_is="the same error on clean signals",
    source="Ovadia et al. 2019",
    runs=network.run_ids,
)
guess_noise.resolve([noisy_error < 1.5 * clean_error, 1.5 * clean_error <= noisy_error <= 0.1, noisy_error > 0.1])

# %% [markdown]
# The network is surer than it is right; one number repairs that, for signals like those that chose it. Shift breaks it, as Ovadia et al.
# found for large networks. The *measure* is disputed, too: with few answers a bin is filled by chance, so that the ECE of even a
# perfect model is above zero, and other bins give another value (Nixon et al. 2019).
#
# ### A set with a guarantee
#
# A **conformal set** answers "it is one of these". Let the score of a class be $s = 1 - p(\text{class})$. On $n$ calibration
# examples take the score of the right class, sort, and let $q$ be the one of rank $\lceil (n+1)(1-\alpha) \rceil$. The
# set holds all classes with $s \le q$. If the new example is *exchangeable* with those $n$ (any order of them was as likely),
# its score is as likely to have any rank, and the set holds the right class with probability at least $1-\alpha$. No model is
# assumed, and no accuracy.

# %%
ALPHA = 0.1
calibration = (logits(network, check.inputs[:, 500:]) / temperature).softmax(-1)  # not those that chose T
own = 1 - calibration.gather(-1, check.targets[:, 500:, None])[..., 0]
cut = own.sort(-1).values[:, int(np.ceil((own.shape[1] + 1) * (1 - ALPHA))) - 1, None, None]
member = {size: 1 - (values / temperature).softmax(-1) <= cut for size, values in by_noise.items()}
covered = np.array([m.gather(-1, held.targets[..., None]).double().mean((1, 2)).numpy() for m in member.values()]).T
set_size = np.array([m.sum(-1).double().mean(-1).numpy() for m in member.values()]).T

fig, panels = plt.subplots(1, 2, figsize=(9, 3.2))
panels[0].axhline(1 - ALPHA, color="0.5", linestyle=":")
for ax, values, label in zip(panels, (covered, set_size), ("share right", "classes in a set"), strict=True):
    figures.lines_with_spread(ax, NOISE, values, label, markevery=1)
    ax.set(xlabel="noise (standard deviation)", ylabel=label)
figures.show(
    fig,
    alt="Left: coverage starts at the promised value and falls far below it with noise. Right: the sets get smaller.",
    caption="Conformal sets as the sensor gets noisier: how often they hold the right class (dotted: promised), and their size.",
)
claim(
    "Clean signals: the sets hold the right class at the promised rate of 0.9, within 0.07",
    covered[:, 0],
    within=(0.83, 0.97),
    control=covered[:, -1],
    control_is="the same rate with the noisy sensor",
    source="Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2023",
)
claim(
    "Noisy sensor: the sets hold the right class less often, by at least 0.12",
    covered[:, 0] - covered[:, -1],
    at_least=0.12,
    control=covered[:, 0] - covered[:, 1],
    control_is="the same fall with a noise of 0.2",
    source="Tibshirani et al. 2019 (conformal prediction needs exchangeability)",
)

# %% [markdown]
# The guarantee is true, and worth what its assumption is worth. It also holds *on average*: a set may be right nearly always for one
# class and far less often for another. And look at the right panel: the less the network knows, the smaller its sets. Nothing in the output warns you.
# What could?

# %% [markdown]
# ## 3. Has the world changed?
#
# ### Three measures of Δ
#
# The distance $\Delta = d(P_\text{train}, P_\text{deploy})$ can be measured without labels. Three ways, each a test of "no change" that should
# raise a false alarm in 5 % of cases:
#
# - **MMD** (maximum mean discrepancy, Gretton et al. 2012): how similar are signals within each sample, against across? With similarity
#   $k(x, y) = e^{-|x-y|^2 / h}$, $\;\mathrm{MMD}^2 = \overline{k(x,x')} + \overline{k(y,y')} - 2\,\overline{k(x,y)}$. Its distribution without
#   change comes from shuffling which signal belongs where.
# - **Classifier two-sample test** (Lopez-Paz & Oquab 2017): train a classifier to tell old from new on half of both; can it, on the other half?
#   Here it is a ridge regression on the samples and their squares.
# - **Label shift** (Lipton et al. 2018): has the mix of *classes* changed? Compare the network's answers on old and new ($\chi^2$ test). If only
#   the mix changed, the answers also tell the new share $p$ of some classes: the network says so in a share $q = h\,p + f\,(1-p)$ of
#   cases, where its hit rate $h$ and false-alarm rate $f$ are known from validation signals. Solve for $p$.


# %%
def answers(model, signals):
    with torch.no_grad():
        return model(signals).argmax(-1)


def similarity(a, b, width):
    return torch.exp(-torch.cdist(a, b).square() / width)


def mmd_test(old, new, generator, shuffles=99):
    """p values [repeats] of signals old and new [repeats, n, 40]."""
    both, n = torch.cat([old, new], 1), old.shape[1]
    k = similarity(both, both, torch.cdist(old[0], old[0]).square().median())
    sign = torch.cat([torch.ones(n), -torch.ones(n)]) / n
    order = torch.rand(shuffles, 2 * n, generator=generator).argsort(1)
    signs = torch.cat([sign[None], sign[order]]).to(old.device)
    found = ((signs @ k) * signs).sum(-1)  # MMD² as it is, then shuffled
    return (found >= found[:, :1] * (1 - 1e-6)).double().mean(1).cpu().numpy()


def classifier_accuracy(old, new):
    """Held-out accuracy [repeats] of telling old from new, by a classifier fitted to the first half of each."""
    half, sides = old.shape[1] // 2, [torch.cat([x, x**2, torch.ones_like(x[..., :1])], -1) for x in (old, new)]
    inputs = torch.cat([side[:, :half] for side in sides], 1)
    target = torch.cat([torch.ones(half, 1), -torch.ones(half, 1)]).to(old.device).expand(len(old), -1, 1)
    penalty = 0.1 * half * torch.eye(inputs.shape[-1], device=old.device)
    weights = torch.linalg.solve(inputs.mT @ inputs + penalty, inputs.mT @ target)
    right = torch.cat([sides[0][:, half:] @ weights > 0, sides[1][:, half:] @ weights < 0], 1)
    return right.double().mean((1, 2)).cpu().numpy()


def classifier_test(old, new):
    n = 2 * (old.shape[1] - old.shape[1] // 2)
    return stats.binom.sf(np.round(classifier_accuracy(old, new) * n) - 1, n, 0.5)


# %% [markdown]
# Six changes, of which you can picture each: white noise, a gain of 1.3, an offset, a sensor that is read backward, one with reversed
# polarity, and a new mix of classes (0 to 4 five times as frequent). Each test sees 160 old and 160 new signals, **100 times**, with
# fresh signals, in each replicate.

# %%
CHANGES = {
    "none": lambda x, seed: x,
    "noise": lambda x, seed: noisy(x, 0.5, seed),
    "gain": lambda x, seed: 1.3 * x,
    "offset": lambda x, seed: x + 0.2,
    "backward": lambda x, seed: x.flip(-1),
    "polarity": lambda x, seed: -x,
    "classes": lambda x, seed: x,
}


def pool(change, seed, n):
    """n fresh signals after the change, and their classes."""
    drawn = data.mnist1d(2 * n if change == "classes" else n, seed)
    keep = torch.ones(len(drawn), dtype=torch.bool)
    if change == "classes":
        keep = (drawn.targets < 5) | (torch.rand(len(drawn), generator=torch.Generator().manual_seed(seed)) < 0.2)
    return CHANGES[change](drawn.inputs[keep][:n], seed), drawn.targets[keep][:n]


def share_low(k, new):
    """Share of classes 0 to 4 in new signals: as the network says, and corrected by its rates on validation signals."""
    says, low = answers(network[k], check.inputs[k].to(DEVICE)).cpu() < 5, check.targets[k] < 5
    rates = says[low], says[~low], answers(network[k], new.to(DEVICE)) < 5
    hit, false, said = (float(rate.double().mean()) for rate in rates)
    return said, (said - false) / (hit - false)


def label_test(model, old, new):
    counts = [F.one_hot(answers(model, side), 10).sum(1).cpu().numpy() for side in (old, new)]
    expected = np.maximum((counts[0] + counts[1]) / 2, 0.5)
    return stats.chi2.sf(sum(((count - expected) ** 2 / expected).sum(1) for count in counts), 9)


said, corrected = np.array([share_low(k, pool("classes", 90_000 + seed, 5000)[0]) for k, seed in enumerate(SEEDS)]).T


# %%
def rejections(k, change):
    """Share of the repeats in which each test says "changed", and the network's accuracy."""
    seed, n, p = 10_000 + SEEDS[k], REPEATS * AT_ONCE, []
    (old, _), (new, classes) = pool("none", seed, n), pool(change, seed + 5000, n)
    model, generator = network[k], torch.Generator().manual_seed(seed)
    for part in zip(old.split(n // 5), new.split(n // 5), strict=True):  # a fifth at a time, to save memory
        sides = [side.view(-1, AT_ONCE, 40).to(DEVICE) for side in part]
        p.append([mmd_test(*sides, generator), classifier_test(*sides), label_test(model, *sides)])
    found = dict(zip(("MMD", "classifier", "label shift"), (np.concatenate(p, 1) <= 0.05).mean(1), strict=True))
    return found | {"accuracy": float((answers(model, new.to(DEVICE)).cpu() == classes).double().mean())}


guess_change = predict("Which does MMD find more often?", ["the gain of 1.3", "reversed polarity", "both as often"])
power = {change: pd.DataFrame([rejections(k, change) for k in range(REPLICATES)]) for change in CHANGES}
fig, panels = plt.subplots(1, 2, figsize=(10.5, 3.6), width_ratios=[1.7, 1], sharey=True)
rows, n = np.arange(len(CHANGES))[::-1], REPEATS * REPLICATES
for i, test in enumerate(power["none"].columns[:3]):
    share = np.array([power[change][test].mean() for change in CHANGES])
    ends = stats.beta.ppf([[0.05], [0.95]], share * n + 0.5, (1 - share) * n + 0.5)
    look = {"xerr": np.maximum([share - ends[0], ends[1] - share], 0), "fmt": figures.MARKERS[i], "markevery": 1}
    panels[0].errorbar(share, rows + 0.22 * (1 - i), label=test, capsize=2, **look)
for table in zip(*(power[change].accuracy for change in CHANGES), strict=True):
    panels[1].plot(table, rows, ".", color="0.4", label="_replicate")
panels[0].set(xlabel="share of repeats with an alarm (dotted: 5 %)", xlim=(-0.02, 1.02))
panels[1].set(xlabel="accuracy after the change (dotted: chance)", xlim=(0, 0.7))
for ax, reference in zip(panels, (0.05, 0.1), strict=True):
    ax.axvline(reference, color="0.5", linestyle=":", label="_reference")
panels[0].set_yticks(rows, labels=list(CHANGES))
panels[0].legend(fontsize=8)
figures.show(
    fig,
    alt="Share of alarms of three tests, and accuracy, for each change. The gain is always found and harms little; polarity the reverse.",
    caption="Left: alarms of each test, with 90 % intervals over all repeats. Right: what the change does to the network.",
)

# %%
lost = {change: power["none"].accuracy - table.accuracy for change, table in power.items()}
claim(
    "A gain of 1.3: MMD finds it more often than the label-shift test, by at least 0.25",
    power["gain"]["MMD"] - power["gain"]["label shift"],
    at_least=0.25,
    control=power["classes"]["MMD"] - power["classes"]["label shift"],
    control_is="the same difference for the new mix of classes",
    source="Rabanser, Günnemann & Lipton 2019 (no test is best for all shifts)",
)
claim(
    "and yet the gain costs at most 0.06 in accuracy",
    lost["gain"],
    at_most=0.06,
    control=lost["polarity"],
    control_is="the cost of reversed polarity",
    source="Rabanser, Günnemann & Lipton 2019 (is the shift harmful?)",
)
claim(
    "New mix of classes: the label-shift test finds it more often than MMD, by at least 0.2",
    power["classes"]["label shift"] - power["classes"]["MMD"],
    at_least=0.2,
    control=power["offset"]["label shift"] - power["offset"]["MMD"],
    control_is="the same difference for the offset",
    source="Lipton, Wang & Smola 2018",
)
claim(
    "The corrected share of classes 0 to 4 is right (5/6) within 0.12",
    corrected - 5 / 6,
    within=(-0.12, 0.12),
    control=said - 5 / 6,
    control_is="the share that the network says, not corrected, minus 5/6",
    source="Lipton, Wang & Smola 2018 (black-box shift estimation)",
)
more = (power["gain"]["MMD"] - power["polarity"]["MMD"]).mean()
guess_change.resolve([more > 0.1, more < -0.1, abs(more) <= 0.1])

# %% [markdown]
# All tests keep their promise of few false alarms, and none is first everywhere: MMD sees gain and offset, the classifier (which sees
# squares) more of the backward signals, the label-shift test the new mix, and it can say what the new mix is. With 100 repeats in each replicate such a ranking means
# something; with 10, the intervals overlap. Above all compare the panels: **alarm is not harm.** The gain always rings and does
# little. Reversed polarity leaves an accuracy *below chance*, and hardly rings. $\Delta$ is a distance between inputs. What it does to *your* model
# is another question, and it takes labels.
#
# ### A monitor
#
# In use, signals come day by day, 25 a day. A **CUSUM** (Page 1954) adds up small excesses: with a day's statistic in units $z$
# of its mean and standard deviation on calm days,
#
# $$ S_t = \max(0,\; S_{t-1} + z_t - \tfrac12), \qquad \text{alarm when } S_t > h $$
#
# Two monitors: one adds up the day's MMD² against training signals, without labels. One *audits*: a person labels 5 of the
# day's 25 signals, and it adds up the network's errors. For each, $h$ is chosen on simulated calm streams so that 5 % of them ring within 60
# days. Then other streams: calm ones give the **false-alarm rate**, and those that change after day 20 the **delay**.


# %%
def daily(k, change, seed, days=5000):
    """Two statistics of each day [2, days]: MMD² against training signals; errors among 5 audited signals."""
    parts = [pool(change, seed + part, days // 5 * A_DAY) for part in range(5)]  # saves memory
    signals, classes = (torch.cat(each) for each in zip(*parts, strict=True))
    signals, known = signals.to(DEVICE), learn.inputs[k, :200].to(DEVICE)
    width, each = torch.cdist(known, known).square().median(), signals.view(days, A_DAY, 40)
    within = similarity(each, each, width).mean((1, 2))
    across = torch.stack([similarity(day, known, width).mean() for day in each])
    wrong = (answers(network[k], signals).cpu() != classes).view(days, A_DAY)[:, :5].sum(1)
    return np.stack([(within - 2 * across).cpu().numpy(), wrong.numpy()])


def cusum(z):
    """The sums S of streams z [..., days]."""
    sums, total = [], 0.0
    for day in np.moveaxis(z, -1, 0):
        total = np.maximum(0, total + day - 0.5)
        sums.append(total)
    return np.stack(sums, -1)


def first_alarm(sums, h):
    """Day of the first alarm, counted from 0; the number of days where there is none."""
    rings = sums > h
    return np.where(rings.any(-1), rings.argmax(-1), sums.shape[-1])


# %%
def watch(k):
    """Of both monitors: threshold, false alarms, and for each change the sums [streams, days] and the delay."""
    seed = 1_000_000 + 1000 * SEEDS[k]
    generator, chosen, calm = np.random.default_rng(seed), daily(k, "none", seed), daily(k, "none", seed + 100)
    mean, sd = chosen.mean(1)[:, None, None], chosen.std(1)[:, None, None]

    def streams(statistics, days):
        return (statistics[:, generator.integers(0, statistics.shape[1], (STREAMS, days))] - mean) / sd

    h = np.quantile(cusum(streams(chosen, DAYS)).max(-1), 0.95, axis=1)
    found = {"h": h, "false": (cusum(streams(calm, DAYS)).max(-1) > h[:, None]).mean(1), "sums": {}, "delay": {}}
    for change in list(CHANGES)[1:]:
        z = np.concatenate([streams(calm, 20), streams(daily(k, change, seed + 200, 400), DAYS)], -1)
        found["sums"][change] = cusum(z)
        days = [first_alarm(*each) - 19 for each in zip(found["sums"][change], h, strict=True)]
        found["delay"][change] = [np.median(of[of > 0]) for of in days]  # a ring before the change is a false alarm
    return found


watched = [watch(k) for k in range(REPLICATES)]
delay = {change: np.array([w["delay"][change] for w in watched]) for change in list(CHANGES)[1:]}  # [K, 2]
false = np.array([w["false"] for w in watched])  # [K, 2]

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=[1.2, 1.2, 0.8])
for m, monitor in enumerate(("inputs", "audit")):
    look = {"color": figures.PALETTE[m], "linestyle": figures.LINESTYLES[m]}
    panels[0].plot(watched[0]["sums"]["polarity"][m, 0] / watched[0]["h"][m], marker="", label=monitor, **look)
    harm, days = np.array([lost[change] for change in delay]), np.array([each[:, m] for each in delay.values()])
    panels[1].scatter(harm, days, s=18, color=look["color"], marker=figures.MARKERS[m], label=monitor)
panels[0].axhline(1, color="0.5", linestyle=":", label="alarm")
panels[0].axvline(20, color="0.5", linestyle="-", label="polarity reversed")
panels[0].set(xlabel="day", ylabel="S / h", yscale="symlog")
panels[1].set(xlabel="accuracy lost to the change", ylabel="median delay (61: no alarm)", ylim=(0, DAYS + 5))
figures.dots_with_spread(panels[2], {"inputs": false[:, 0], "audit": false[:, 1]})
panels[2].axhline(0.05, color="0.5", linestyle=":", label="_intended")
panels[2].set(ylabel="calm streams that ring (dotted: intended)", ylim=(0, None))
for ax in panels[:2]:
    ax.legend(fontsize=7)
figures.show(
    fig,
    alt="After the change the audit's sum soon rings; its delay falls with the harm. The input monitor's does not.",
    caption="Left: one stream. Middle: delay against harm, one dot for each change and replicate. Right: false alarms.",
)

# %%
claim(
    "Calm streams: the audit rings falsely within 60 days in at most 15 % of them",
    false[:, 1],
    at_most=0.15,
    control=np.array([(w["sums"]["polarity"][1].max(-1) > w["h"][1]).mean() for w in watched]),
    control_is="the share of streams with reversed polarity in which it rings",
    source="Page 1954",
)
claim(
    "Reversed polarity: the audit rings at least 20 days before the input monitor (median delay)",
    delay["polarity"][:, 0] - delay["polarity"][:, 1],
    at_least=20,
    control=delay["gain"][:, 0] - delay["gain"][:, 1],
    control_is="the same difference for the gain of 1.3",
    source="our measurement; Rabanser, Günnemann & Lipton 2019",
)

# %% [markdown]
# Five labels a day find in days what costs most. The input monitor is quickest where little is lost, and reversed polarity it hardly
# sees. Have both: one sees *that* something changed, the other *whether it matters*. An alarm that nobody writes down did not
# happen, so it becomes rows: a look a day as `monitoring_event`, and an `incident` that names the event that found it.

# %% [markdown]
# ### And then?
#
# The alarm says *that*, not *why*. Two causes that ring alike: the **world** changed (reversed polarity), or the **model** did: last night's
# update trained on a file whose labels had slipped by one class. Three actions: **roll back** to the previous version; **retrain**, 200
# updates on 400 freshly labelled signals of today's world; **abstain** below a confidence that, on validation signals before
# the alarm, made 80 % of the answered ones right.


# %%
def updated(ensemble, examples, **settings):
    """A copy of the ensemble, trained for 200 more updates."""
    copy = Ensemble(ensemble.sizes, SEEDS)
    copy.load_state_dict(ensemble.state_dict())
    copy.fit(examples, steps=200, batch_size=100, learning_rate=1e-3, **settings)
    return copy


def fresh(change, n, seed):
    drawn = [pool(change, seed + own, n) for own in SEEDS]
    return data.stack([data.Examples(*each, role="train", split=f"signals after: {change}") for each in drawn])


def lowest_threshold(confidence, right, wanted):
    """The lowest confidence such that of the answers at least so sure, `wanted` are right."""
    order = np.argsort(-confidence)
    share = right[order].cumsum() / np.arange(1, len(order) + 1)
    return confidence[order][np.flatnonzero(share >= wanted)[-1]]


def answered(ensemble, examples, threshold):
    """Accuracy of the answers above the threshold [K], and their share."""
    confidence, right = sure_and_right(logits(ensemble, examples.inputs), examples.targets)
    gives = confidence >= np.asarray(threshold)[:, None]
    return (right * gives).sum(1) / gives.sum(1), gives.mean(1)


# %%
ledger = Ledger()
REVERSED = {"name": "stream with reversed polarity", "population": "signals, 25 a day", "shift": "x becomes -x"}
place, stream, found = ledger.environment(REVERSED), watched[0], {}
for m, kind in enumerate(("input drift: CUSUM of MMD²", "audited errors: CUSUM of 5 a day")):
    sums, h = stream["sums"]["polarity"][m, 0], stream["h"][m]
    base = {"environment_id": place, "run_id": network.run_ids[0], "kind": kind, "threshold": h}
    end = int(first_alarm(sums, h))
    looks = [{"statistic": s, "alarm": int(s > h), "step": day + 1} for day, s in enumerate(sums[: end + 1])]
    found[end] = ledger.record("monitoring_event", [base | look for look in looks])[-1]
problem = {"severity": "high", "description": "Signals arrive with reversed polarity; the answers are wrong."}
(incident,) = ledger.record("incident", {"environment_id": place, "monitoring_event_id": found[min(found)], **problem})
previous = Ensemble([40, 128, 128, 10], SEEDS)
version_1 = data.stack([part.train.first(1300) for part in signals])
previous.fit(version_1, steps=800, batch_size=100, learning_rate=2e-3, experiment="version 1")
slipped = learn.replace(targets=(learn.targets + 1) % 10, transform="labels slipped by one class")
broken = updated(network, slipped, experiment="bad update")
validated = zip(*sure_and_right(logits(network, check.inputs), check.targets), strict=True)
sure, always = np.array([lowest_threshold(*each, 0.8) for each in validated]), np.zeros(REPLICATES)
outcome = {}
for cause, change, current, before in (
    ("the world changed", "polarity", network, previous),
    ("the model changed", "none", broken, network),
):
    today = fresh(change, 2000, 60_000)
    retrained = updated(current, fresh(change, 400, 70_000), experiment=f"retrained: {cause}")
    outcome[cause] = {
        "nothing": answered(current, today, always),
        "roll back": answered(before, today, always),
        "retrain": answered(retrained, today, always),
        "abstain": answered(current, today, sure),
    }
ledger.update("incident", incident, status="mitigated")
print("incident:", *ledger.query("SELECT status FROM incident WHERE id = ?", [incident]).status)

# %%
fig, panels = plt.subplots(1, 2, figsize=(10.5, 3.4), sharey=True)
for ax, (cause, acts) in zip(panels, outcome.items(), strict=True):
    figures.dots_with_spread(ax, {act: values[0] for act, values in acts.items()})
    for column, values in enumerate(acts.values()):
        ax.text(column, 0.82, f"answers\n{values[1].mean():.0%}", ha="center", fontsize=8)
    ax.axhline(0.1, color="0.5", linestyle=":", label="chance")
    ax.set(title=cause, ylim=(0, 1))
panels[0].set_ylabel("accuracy of what is answered")
panels[0].legend(loc="center left", fontsize=8)
figures.show(
    fig,
    alt="When the world changed, rolling back and abstaining leave the accuracy near or below chance and retraining helps. When the "
    "model changed, rolling back restores it at once.",
    caption="Two causes, four actions. Above: the share of signals that get an answer.",
)
ahead = {cause: acts["retrain"][0] - acts["roll back"][0] for cause, acts in outcome.items()}
claim(
    "When the world changed, retraining gives at least 0.15 more accuracy than rolling back",
    ahead["the world changed"],
    at_least=0.15,
    control=ahead["the model changed"],
    control_is="the same difference when the model changed",
    source="our measurement",
)

# %% [markdown]
# So find the cause before you act; the ledger, which knows which version ran when, is where to look. And abstaining
# saved nothing here: the network is as sure with its polarity reversed as before. A threshold on confidence protects against
# hard inputs, not against a world that confidence knows nothing about.

# %% [markdown]
# ## 4. High performance ≠ high robustness
#
# ### The smallest change that matters
#
# So far nobody meant harm. An **adversarial example** (Szegedy et al. 2014) is $x' = x + \delta$ with $\|\delta\|_\infty \le \epsilon$: no pixel
# moves by more than $\epsilon$, and the answer is wrong. How to find $\delta$? Training follows the gradient of the loss
# in the *weights*, downhill. Follow it in the *input*, uphill. With one step that is **FGSM** (Goodfellow et al. 2015), with many, each
# followed by a projection back into the box, **PGD** (Madry et al. 2018):
#
# $$ x' = x + \epsilon\, \mathrm{sign}\, \nabla_x \ell(x), \qquad x_{t+1} = \Pi_\epsilon\bigl(x_t + \tfrac{\epsilon}{4}\, \mathrm{sign}\, \nabla_x \ell(x_t)\bigr) $$


# %%
def input_gradient(networks, inputs, targets, scale=1.0):
    """Gradient of the loss in the inputs, for all replicates at once. `scale` multiplies the logits (used below)."""
    inputs = inputs.clone().requires_grad_(True)
    loss = F.cross_entropy((scale * networks(inputs)).mT, targets, reduction="sum")
    return torch.autograd.grad(loss, inputs)[0]


def fgsm(networks, x, y, eps, scale=1.0):
    return (x + eps * input_gradient(networks, x, y, scale).sign()).clamp(0, 1)


def pgd(networks, x, y, eps, steps=20, seed=0, scale=1.0):
    """From a random start in the box. A step is a quarter of eps, or half of it for fewer than 5 steps."""
    start = 2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) - 1
    attacked = (x + eps * start.to(x.device)).clamp(0, 1)
    for _ in range(steps):
        attacked = attacked + eps / (4 if steps > 4 else 2) * input_gradient(networks, attacked, y, scale).sign()
        attacked = torch.clamp(attacked, x - eps, x + eps).clamp(0, 1)
    return attacked


def right_on(networks, x, y):
    with torch.no_grad():
        return (networks(x).argmax(-1) == y).double().mean(1).cpu().numpy()


question = "No pixel may change by more than 0.1 of its range. How accurate is a network of 97 % under PGD?"
guess_attack = predict(question, ["above 0.9", "between 0.6 and 0.9", "below 0.6"])
images = [data.digits().split(seed, test=600, validation=100) for seed in SEEDS]
pictures, test = (data.stack([getattr(split, part) for split in images]) for part in ("train", "test"))
x, y = test.inputs.to(DEVICE), test.targets.to(DEVICE)
standard = Ensemble([64, 96, 96, 10], SEEDS)
standard.fit(pictures, steps=400, batch_size=100, learning_rate=2e-3, experiment="digits, standard")
attacked = pgd(standard, x, y, EPS)

# %% tags=["drawing"]
with torch.no_grad():
    named = torch.cat([standard(inputs)[0, :6].argmax(1) for inputs in (x, attacked)]).tolist()
figures.show(
    figures.digit_grid(torch.cat([x[0, :6], attacked[0, :6]]), named, columns=6),
    alt="Six digits, and below them the same after the attack: grey speckles, easily read by a person.",
    caption="Before (above) and after PGD (below), each with the network's answer.",
)

# %% [markdown]
# **Adversarial training** (Madry et al. 2018) makes the worst case the training case: in each update, attack the batch first, then learn
# from the attacked batch. That is $\min_\theta \mathbb{E} \max_\delta \ell(\theta; x + \delta)$, and costs as many more gradients as the attack has steps.
# The loop is ours, so it has to write its own rows in the ledger.


# %%
def adversarial_training(examples, steps=400):
    networks = Ensemble([64, 96, 96, 10], SEEDS).to(DEVICE)
    generator = torch.Generator().manual_seed(BASE_SEED)
    optimizer = torch.optim.Adam(networks.parameters(), lr=2e-3, fused=True)
    for step in range(steps):
        rows = torch.randint(len(examples), (REPLICATES, 100), generator=generator)
        batch = torch.stack([examples.inputs[k, own] for k, own in enumerate(rows)]).to(DEVICE)
        target = torch.stack([examples.targets[k, own] for k, own in enumerate(rows)]).to(DEVICE)
        hard = pgd(networks, batch, target, EPS, steps=3, seed=BASE_SEED + step)
        loss = F.cross_entropy(networks(hard).mT, target, reduction="none").mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return networks


def record_like(run_ids, **changed):
    """Rows in training_run as those of other runs, but for what is `changed`: for networks trained by a loop of our own."""
    names = (
        "session_id, architecture_id, split_id, seed, replicate, optimizer, learning_rate, batch_size, steps_planned"
    )
    sql = f"SELECT {names}, steps_done FROM training_run WHERE id IN ({', '.join('?' * len(run_ids))}) ORDER BY id"
    rows = ledger.query(sql, run_ids).to_dict("records")
    return ledger.record("training_run", [row | {"status": "completed"} | changed for row in rows])


hardened = adversarial_training(pictures)
changed = {"experiment": "digits, adversarial training", "objective": "cross_entropy on PGD examples"}
hardened.run_ids = record_like(standard.run_ids, **changed)

# %%
SIZES, ATTACKS = [0, 0.05, EPS, 0.2], ["random ±ε", "FGSM", "PGD"]


def attacks(networks, eps):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(BASE_SEED + 1)).sign().to(DEVICE)
    attacked = (x + eps * noise).clamp(0, 1), fgsm(networks, x, y, eps), pgd(networks, x, y, eps)
    return [right_on(networks, each, y) for each in attacked]


trained_as = {"standard": standard, "adversarially trained": hardened}
under = {name: np.array([attacks(networks, eps) for eps in SIZES]) for name, networks in trained_as.items()}
fig, panels = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
for ax, (name, found) in zip(panels, under.items(), strict=True):  # [sizes, attacks, K]
    for i, attack in enumerate(ATTACKS):
        figures.lines_with_spread(ax, SIZES, found[:, i].T, attack, markevery=1)
    ax.axvline(EPS, color="0.5", linestyle=":", label="trained for")
    ax.set(title=name, xlabel="ε", ylim=(0, 1.02))
panels[0].set_ylabel("accuracy")
panels[1].legend(fontsize=8, loc="lower left")
figures.show(
    fig,
    alt="The standard network falls to zero under FGSM and PGD while random noise does little; the hardened one holds up "
    "to the size it was trained for, then falls too.",
    caption="Accuracy against the size of the change. Random noise moves every pixel by as much as the attacks may.",
)

# %%
clean = {name: found[0, 0] for name, found in under.items()}
noise, sharp = ({name: found[2, i] for name, found in under.items()} for i in (0, 2))  # at ε = 0.1
claim(
    "The standard network loses at least 0.4 of its accuracy to PGD with ε = 0.1",
    clean["standard"] - sharp["standard"],
    at_least=0.4,
    control=clean["standard"] - noise["standard"],
    control_is="what it loses to random changes of every pixel by the same ε",
    source="Szegedy et al. 2014; Goodfellow et al. 2015; Madry et al. 2018",
    runs=standard.run_ids,
)
claim(
    "Adversarial training raises the accuracy under PGD by at least 0.25",
    sharp["adversarially trained"] - sharp["standard"],
    at_least=0.25,
    control=noise["adversarially trained"] - noise["standard"],
    control_is="the same difference under random changes of every pixel by the same ε",
    source="Madry et al. 2018",
    runs=hardened.run_ids,
)
claim(
    "High performance ≠ high robustness: their clean accuracies differ by at most 0.05",
    clean["adversarially trained"] - clean["standard"],
    within=(-0.05, 0.05),
    control=sharp["adversarially trained"] - sharp["standard"],
    control_is="the difference of their accuracies under PGD",
    source="the article's inequality",
)
under_pgd = sharp["standard"].mean()
guess_attack.resolve([under_pgd > 0.9, 0.6 <= under_pgd <= 0.9, under_pgd < 0.6])

# %% [markdown]
# Two networks that no benchmark tells apart, and one is broken by a change that random noise of the same size does not make. The
# direction matters, not the size. Does robustness cost accuracy? Tsipras et al. (2019) show a task where it must; Yang et al.
# (2020) argue that on real images it need not. On digits we see no cost; at twice the trained ε we see no robustness either.
#
# ### A defence to review
#
# A vendor sends you "a defence without retraining": same accuracy, and FGSM and PGD hardly touch it. Here are its numbers. Believe
# them? Before you read on, find *two* things in the table that cannot be, if the attacks work.

# %%
SECRET = 1000.0  # what the vendor did
elsewhere = pgd(standard, x.roll(1, 0), y.roll(1, 0), EPS).roll(-1, 0)  # replicate k's pictures, another's gradient
vendor = {
    "clean": clean["standard"],
    "random ±ε": noise["standard"],
    "FGSM": right_on(standard, fgsm(standard, x, y, EPS, SECRET), y),
    "PGD": right_on(standard, pgd(standard, x, y, EPS, scale=SECRET), y),
    "PGD, ε = 1": right_on(standard, pgd(standard, x, y, 1.0, scale=SECRET), y),
    "transfer": right_on(standard, elsewhere, y),
}
zero = [(input_gradient(standard, x, y, scale) == 0).all(-1).double().mean().item() for scale in (1.0, SECRET)]
assert zero[0] < 0.1 < 0.5 < zero[1]  # most gradients of the defended network are exactly 0
fig, ax = plt.subplots(figsize=(7.5, 3.2))
figures.dots_with_spread(ax, vendor)
ax.axhline(0.1, color="0.5", linestyle=":", label="chance")
ax.set(ylabel="accuracy of the defended network", ylim=(0, 1.02))
ax.legend(loc="lower left", fontsize=8)
figures.show(
    fig,
    alt="The defended network stays near its clean accuracy under FGSM and PGD and is above chance even under unlimited "
    "changes; random noise does more harm than FGSM, and attacks made on another network far more.",
    caption="The vendor's network. The last column uses adversarial examples made for another network.",
)
claim(
    "Adversarial examples made for another network take at least 0.1 more than PGD on the defended one itself",
    vendor["PGD"] - vendor["transfer"],
    at_least=0.1,
    control=sharp["standard"] - vendor["transfer"],
    control_is="the same difference with PGD on the network without the defence",
    source="Athalye, Carlini & Wagner 2018; Carlini & Wagner 2016 (defensive distillation)",
)

# %% [markdown]
# The two signs: **random noise does more harm than the attack**, and an attack that may paint *any* picture leaves right answers. Then the attack is
# blind, not the network strong. What the vendor did: multiply all logits by 1000. The answers are the same, the softmax is exactly 1 in 32 bits, and
# the gradient exactly zero. That is **gradient masking**. Attacks from elsewhere do not need the gradient. Your own code can blind an attack as
# well: put the `clamp(0, 1)` *inside* the loss, and every clipped pixel loses its gradient (exercise 2). So report with each
# defence: random noise, unlimited size, transfer (Carlini et al. 2019).

# %% [markdown]
# ## 5. The model writes its own next data
#
# Back to the office of section 1. Now "high" means that an application is *granted*, if the probability is above 0.9, and only for
# granted ones does anyone ever learn whether that was right (**selective labels**, Lakkaraju et al. 2017). Each round the model is trained anew on
# everything known so far. It began with the routed digits, all of them on the scanner of their class. From now on the scanner says nothing. Three
# offices:
#
# - **closed**: learns from what it grants;
# - **random slice**: as well grants 10 % of the applications by lot, whatever the model says;
# - **all labels**: gets every label. Nobody has this office; it is the control.


# %%
OFFICES = {"closed": 0.0, "random slice": 0.1, "all labels": 1.0}


def applications(rows, agree, seed):
    """Digits of these rows; for a share `agree` of them the scanner is that of the class."""
    digits = data.digits()
    part = data.Examples(digits.inputs[rows], digits.targets[rows])
    other = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed)) >= agree
    return scanned(part, ((part.targets >= 5) ^ other).long(), seed)


class Office:
    """One office in one world: what it knows, and its held-out applications. It draws rows from seeds of its own."""

    def __init__(self, world, lot):
        order = torch.randperm(1797, generator=torch.Generator().manual_seed(world))
        self.lot, self.generator = lot, torch.Generator().manual_seed(world + 300)
        self.held_out, self.others = applications(order[:500], 0.5, world), order[800:]
        start = applications(order[500:800], 1.0, world + 1)
        self.inputs, self.targets = start.inputs, start.targets

    def batch(self):
        rows = torch.randint(len(self.targets), (800,), generator=self.generator)
        return data.Examples(self.inputs[rows], self.targets[rows], role="train")

    def new(self, turn):
        rows = self.others[torch.randint(len(self.others), (APPLICANTS,), generator=self.generator)]
        return applications(rows, 0.5, int(self.generator.initial_seed()) + 1000 * (turn + 1))

    def learn(self, new, seen):
        self.inputs = torch.cat([self.inputs, new.inputs[seen]])
        self.targets = torch.cat([self.targets, new.targets[seen]])


# %%
def rounds():
    """A row for each round, world and office: what the office sees, and what is true."""
    names, rows = [(world, office) for world in WORLDS for office in OFFICES], []
    offices = [Office(world, OFFICES[office]) for world, office in names]
    for turn in range(ROUNDS):
        models = Ensemble([64, 64, 2], [world for world, _ in names])
        batches = data.stack([office.batch() for office in offices])
        models.fit(batches, steps=200, batch_size=100, learning_rate=3e-3, experiment=f"round {turn + 1}")
        new = [office.new(turn) for office in offices]
        asked = [torch.cat([o.held_out.inputs, n.inputs]) for o, n in zip(offices, new, strict=True)]
        granted = (logits(models, torch.stack(asked)).softmax(-1)[..., 1] > 0.9).long()
        for (world, name), office, arrived, grants in zip(names, offices, new, granted, strict=True):
            high, yes, now = office.held_out.targets, grants[:500], grants[500:]
            by_lot = torch.rand(APPLICANTS, generator=office.generator) < office.lot
            agrees = (now == arrived.targets).double()
            row = {"round": turn + 1, "world": world, "office": name}
            row["its success"] = float(high[yes == 1].double().mean())
            row["accuracy"] = float((yes == high).double().mean())
            row["dark, high: granted"] = float(yes[office.held_out.factors["group"] == 2].double().mean())
            row["of the lot"], row["of all"] = float(agrees[by_lot].mean()), float(agrees.mean())
            rows.append(row)
            office.learn(arrived, (now == 1) | by_lot)
    return pd.DataFrame(rows)


question = "The closed office sees how many of its granted applications were right. What does it see over the rounds?"
guess_loop = predict(question, ["a falling success rate: a warning", "a rising success rate: all seems well"])
history = rounds()
WRONGED = "dark, high: granted"

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(10.5, 3.3), sharey=True)
for ax, column in zip(panels, ("its success", "accuracy", WRONGED), strict=True):
    for office in OFFICES:
        table = history[history.office == office].pivot(index="world", columns="round", values=column)
        figures.lines_with_spread(ax, table.columns, table, office, markevery=1)
    ax.set(xlabel="round", title=f"{'what the office sees' if ax is panels[0] else 'the truth'}:\n{column}")
panels[0].set(ylabel="rate", ylim=(0, 1.02))
panels[0].legend(fontsize=8, loc="lower right")
figures.show(
    fig,
    alt="The success rate that an office sees rises in all three. The true accuracy stays low in the closed office and rises with "
    "the random slice; high digits on the dark scanner are hardly ever granted by the closed office.",
    caption="Three offices over the rounds, thin lines for each world: what they see, and what is true on held-out applications.",
)


# %%
def at(office, column, turn=ROUNDS):
    """[K]: a column of `history` after a round, or its mean over all rounds (None)."""
    rows = history[(history.office == office) & ((history["round"] == turn) | (turn is None))]
    return pairs(rows.groupby("world")[column].mean().loc[WORLDS])[:, 0]


claim(
    "In the closed office the success rate that it sees rises by at least 0.2",
    at("closed", "its success") - at("closed", "its success", 1),
    at_least=0.2,
    control=at("closed", WRONGED) - at("closed", WRONGED, 1),
    control_is="the rise of another rate: high digits on the dark scanner that it grants",
    source="Lakkaraju et al. 2017 (selective labels)",
)
claim(
    "After the last round the random slice grants at least 0.2 more of the high digits on the dark scanner",
    at("random slice", WRONGED) - at("closed", WRONGED),
    at_least=0.2,
    control=at("random slice", WRONGED, 1) - at("closed", WRONGED, 1),
    control_is="the same difference after the first round",
    source="Ensign et al. 2018 (feedback loops); our measurement",
)
claim(
    "Averaged over the rounds, the accuracy on the lot is that on all applications, within 0.15",
    at("random slice", "of the lot", None) - at("random slice", "of all", None),
    within=(-0.15, 0.15),
    control=at("closed", "its success") - at("closed", "accuracy"),
    control_is="success as the closed office sees it, minus its true accuracy, last round",
    source="our measurement",
)
rise = (at("closed", "its success") - at("closed", "its success", 1)).mean()
guess_loop.resolve([rise <= 0, rise > 0])

# %% [markdown]
# The closed office refuses high digits on the dark scanner, so it never sees that this was wrong, so it goes on, while its own
# figures *improve*. A model whose outputs choose its data cannot be checked on these data. The random slice does two things: it is the only
# honest measurement, and it is the cure. Its price is real: half of what the lot grants should not have been. Where a granted error is a
# catastrophe, the slice must be taken another way (a person decides twice). The same loop runs where a model's *text* becomes the next model's
# training text (Shumailov et al. 2024).

# %% [markdown]
# ## 6. Fluent and wrong
#
# The language model of notebook 04 reads 16 characters and says which comes next. Train it on Python's library, in whose text we put a
# directory of 100 services, `port["zibo"] = 9418`, each line many times. Then ask for services that are *not* in it. There is nothing
# to know: the number was never written anywhere.


# %%
TEXT = data.library_text()
CODE = {character: number for number, character in enumerate(TEXT.alphabet)}


def encoded(text):
    """The last 16 characters, as class numbers."""
    return torch.tensor([CODE[character] for character in text[-16:]], dtype=torch.uint8)


def services(n, seed):
    """n different names such as zibo, each with a port."""
    generator, ports = np.random.default_rng(seed), {}
    while len(ports) < n:
        letters = [generator.choice(list(kind)) for kind in ("bcdfgklmnprstvz", "aeiou") * 2]
        ports["".join(letters)] = str(generator.integers(1000, 10_000))
    return ports


def asking(name):
    return f'\nport["{name}"] = '


def trained_on(facts, seed, each=20_000):
    """A model of the library's text with the facts in it: half of the windows are from either."""
    lines = [(asking(name), f"{port}\n") for name, port in facts.items()]
    parts = [(encoded(line + answer[:i]), CODE[answer[i]]) for line, answer in lines for i in range(5)]
    before, after = torch.stack([part[0] for part in parts]), torch.tensor([part[1] for part in parts])
    windows, times = TEXT.windows(each, 16, seed=seed), each // len(parts)
    inputs, targets = before.repeat(times, 1), after.repeat(times)
    tensors = {"inputs": torch.cat([windows.inputs, inputs]), "targets": torch.cat([windows.targets, targets])}
    both, model = windows.replace(**tensors, transform="invented facts added"), NextCharacter(64, 16, seed=seed)
    settings = {"batch_size": 256, "learning_rate": 5e-3, "schedule": "cosine", "experiment": "library and directory"}
    fit(model, both, steps=800, seed=seed, **settings)
    return model


# %% tags=["nbval-ignore-output"]
def ask(model, names):
    """The five most likely characters after each question, one after the other, and their joint probability."""
    context = torch.stack([encoded(asking(name)) for name in names]).to(DEVICE)
    sure, said = torch.ones(len(names)), []
    for _ in range(5):
        with torch.no_grad():
            best = model(context).softmax(-1).max(-1)
        sure = sure * best.values.cpu()
        said.append(best.indices.cpu())
        context = torch.cat([context[:, 1:], best.indices[:, None].to(context.dtype)], 1)
    return ["".join(TEXT.alphabet[i] for i in row) for row in torch.stack(said, 1).tolist()], sure.numpy()


def interview(seed):
    """A row a question: known or not, the answer, its confidence, right or not."""
    ports = services(NAMES + 1500, seed)
    names, known = list(ports), np.arange(len(ports)) < NAMES
    said, confidence = ask(trained_on({name: ports[name] for name in names[:NAMES]}, seed), names)
    rows = pd.DataFrame({"name": names, "known": known, "said": said, "confidence": confidence.astype(float)})
    rows["right"] = [answer == f"{ports[name]}\n" for name, answer in zip(names, said, strict=True)]
    rows["fluent"] = [answer[:4].isdigit() and answer[4] == "\n" for answer in said]
    rows["part"] = np.where(np.arange(len(rows)) % 2, "test", "validation")  # to choose the threshold, and to measure
    return rows


options = ["something that is no port", "a port, with confidence near zero", "a port, at times quite sure of it"]
guess_fluent = predict("Asked for a service that is not in its text, what does the model write?", options)
asked = [interview(seed) for seed in SEEDS]
unknown = [rows[~rows.known] for rows in asked]
print("the five answers it is surest of, about services that do not exist:")
for row in unknown[0].nlargest(5, "confidence").itertuples():
    print(f"{asking(row.name).strip()} {row.said.strip():5} confidence {row.confidence:.2f}")

# %% [markdown]
# **Abstention**: answer only when the confidence is at least $\tau$. **Coverage** is the share of questions answered, **risk** the share of
# answers that are wrong (Geifman & El-Yaniv 2017). On validation questions, half of them known, $\tau$ is the lowest threshold with a risk of
# at most 5 %. Then two users come: one who asks as the validation questions do, and one who hardly ever asks what the
# directory knows (5 %).


# %%
def coverage_and_risk(rows, threshold, known_share):
    """Coverage and risk when this share of the questions is about known services."""
    weight = np.where(rows.known, known_share / rows.known.sum(), (1 - known_share) / (~rows.known).sum())
    answers = weight * (rows.confidence >= threshold)
    return answers.sum(), (answers * ~rows.right).sum() / max(answers.sum(), 1e-12)


def chosen_threshold(rows):
    return next(level for level in np.sort(rows.confidence) if coverage_and_risk(rows, level, 0.5)[1] <= 0.05)


tau = [chosen_threshold(rows[rows.part == "validation"]) for rows in asked]
final = [rows[rows.part == "test"] for rows in asked]
met, levels = {}, np.linspace(0, 0.9, 40)
fig, panels = plt.subplots(1, 2, figsize=(10, 3.4))
edges, together = np.linspace(0, 1, 21), pd.concat(asked)
for known, label in ((True, "in the text"), (False, "not in the text")):
    density = np.histogram(together.confidence[together.known == known], edges, density=True)[0]
    panels[0].plot(edges[:-1] + 0.025, density, label=label, drawstyle="steps-mid", marker="")
for user, share in (("as in validation", 0.5), ("asks the unknown", 0.05)):
    met[user] = np.array([coverage_and_risk(rows, level, share) for rows, level in zip(final, tau, strict=True)])
    curve = np.array([[coverage_and_risk(rows, level, share) for level in levels] for rows in final]).mean(0)
    (line,) = panels[1].plot(*curve.T, label=user, markevery=8)
    panels[1].plot(*met[user].T, "*", color=line.get_color(), markevery=1, label=f"{user}, at τ")
panels[1].axhline(0.05, color="0.5", linestyle=":", label="wanted")
panels[0].set(xlabel="confidence of the answer", ylabel="density")
panels[1].set(xlabel="coverage (share answered)", ylabel="risk (share of answers wrong)")
for ax in panels:
    ax.legend(fontsize=8)
figures.show(
    fig,
    alt="Confidences of answers from the text are higher, with an overlap. At τ the second user's risk is far higher.",
    caption="Left: all replicates. Right: mean risk against coverage; stars: each replicate at its threshold τ.",
)

# %%
claim(
    "Asked for what is not in its text, the model writes a well-formed port in at least 0.9 of the cases",
    np.array([rows.fluent.mean() for rows in unknown]),
    at_least=0.9,
    control=np.array([rows.right.mean() for rows in unknown]),
    control_is="the share of right answers among the same",
    source="Kalai & Vempala 2024 (arbitrary facts)",
)
claim(
    "With the threshold, the risk for questions like those that chose it is at most 0.15",
    met["as in validation"][:, 1],
    at_most=0.15,
    control=np.array([coverage_and_risk(rows, 0, 0.5)[1] for rows in final]),
    control_is="the same risk without the threshold",
    source="Geifman & El-Yaniv 2017",
)
claim(
    "For the user who asks the unknown the risk is at least 0.15",
    met["asks the unknown"][:, 1],
    at_least=0.15,
    control=met["as in validation"][:, 1],
    control_is="the risk for questions like those that chose the threshold",
    source="our measurement",
)
fluent = np.mean([rows.fluent.mean() for rows in unknown])
surest = np.mean([rows.confidence.max() for rows in unknown])
guess_fluent.resolve([fluent < 0.5, fluent >= 0.5 and surest < 0.3, fluent >= 0.5 and surest >= 0.3])

# %% [markdown]
# It learned the *form* of an answer perfectly, and form is all that fluency is. To predict text well it must put some number there:
# Kalai & Vempala prove that a calibrated model of text invents facts of which its text has seen too little. Its confidence knows more than its
# words, so the threshold helps. But "5 % risk" is a promise about a *mix of questions*, like every promise in this notebook:
# accuracy, temperature, coverage, false alarms.

# %% [markdown]
# ## 7. One number for all of it?
#
# The article behind this curriculum sums up: for system $i$,
#
# $$ \mathrm{Reliability}_i = \alpha M_i - \beta C_i - \gamma \Delta_i - \lambda O_i - \rho R_i $$
#
# Three candidates for the signals: a **linear** model, the **network** of section 2, and a **robust** one, trained with noise added and
# scaled with a temperature. They are to be used behind a noisy sensor (0.5). Each term has to be *defined* before it can be measured; here all lie between
# 0 and 1:
#
# - $M$, task performance: accuracy on held-out signals;
# - $C$, calibration error, on the same;
# - $\Delta$, shift: how well a classifier tells the system's *training* inputs from those of its use: $2 \cdot \text{accuracy} - 1$;
# - $O$, opacity: the share of answers that the best linear imitation of the system gets wrong;
# - $R$, downstream risk: the share of signals *in use* on which the system is wrong with a confidence above 0.8.


# %%
in_use = held.replace(inputs=noisy(held.inputs, 0.5, BASE_SEED + 9), transform="noise of 0.5 added")
copies = torch.cat([learn.inputs, noisy(learn.inputs, 0.5, BASE_SEED + 8)], 1)
augmented = data.stack(
    [
        data.Examples(copies[k], learn.targets[k].repeat(2), role="train", transform="a noisy copy of each added")
        for k in range(REPLICATES)
    ]
)
settings = {"steps": 800, "batch_size": 100, "learning_rate": 2e-3}
linear, robust = Ensemble([40, 10], SEEDS), Ensemble([40, 128, 128, 10], SEEDS)
linear.fit(learn, experiment="linear", **settings)
robust.fit(augmented, experiment="noise added", **settings)
cooled = best_temperature(logits(robust, check.inputs), check.targets)[:, None, None]
SYSTEMS = {"linear": (linear, learn, 1), "network": (network, learn, 1), "robust": (robust, augmented, cooled)}
TERMS = ["M", "C", "Δ", "O", "R"]


def terms(ensemble, trained, temperature):
    """The five terms of each replicate [K, 5]."""
    home, away = (logits(ensemble, part.inputs) / temperature for part in (held, in_use))
    imitation, says = Ensemble([40, 10], SEEDS), (logits(ensemble, learn.inputs) / temperature).softmax(-1).float()
    imitation.fit(learn.replace(targets=says, transform="a system's probabilities"), experiment="imitation", **settings)
    rows = torch.randperm(len(trained), generator=torch.Generator().manual_seed(BASE_SEED))[:1500]
    shift = np.clip(2 * classifier_accuracy(trained.inputs[:, rows], in_use.inputs[:, :1500]) - 1, 0, 1)
    opacity = (logits(imitation, held.inputs).argmax(-1) != home.argmax(-1)).double().mean(1).numpy()
    confidence, right = sure_and_right(away, held.targets)
    risk = ((confidence > 0.8) & (right == 0)).mean(1)
    evaluate(ensemble, in_use, environment={"name": "noisy sensor", "shift": "noise of 0.5"})
    return np.stack([evaluate(ensemble, held), eces(home, held.targets), shift, opacity, risk], axis=1)


measured = {name: terms(*system) for name, system in SYSTEMS.items()}


# %%
def reliability(values, weights):
    """Scores [..., weightings] of terms [..., 5] under weights [weightings, 5]."""
    return (values * [1, -1, -1, -1, -1]) @ weights.T


question = f"{WEIGHTINGS} weightings, drawn evenly from all that sum to 1. Is the same system first in nearly all?"
guess_rank = predict(question, ["yes, in above 90 %", "no: a second one is first in at least 10 %"])
weightings = np.random.default_rng(BASE_SEED).dirichlet(np.ones(5), WEIGHTINGS)
all_terms = np.stack(list(measured.values()))  # [systems, K, 5]
first = reliability(all_terms, weightings).argmax(0)  # [K, weightings]
wins = {name: (first == i).mean(1) for i, name in enumerate(SYSTEMS)}
equal = reliability(all_terms.mean(1), np.full((1, 5), 0.2))[:, 0].argmax()
claim(
    "Linear or robust: each of the two is first in at least 0.15 of the weightings",
    np.minimum(wins["linear"], wins["robust"]),
    at_least=0.15,
    control=wins["network"],
    control_is="the share of weightings in which the plain network is first",
    source="the article's reliability score; our measurement",
)
means = {name: values.mean(0) for name, values in measured.items()}
save_table(pd.DataFrame(means, index=TERMS).reset_index(names="term"), "08_reliability")
most = max(share.mean() for share in wins.values())
guess_rank.resolve([most > 0.9, most <= 0.9])

# %% tags=["drawing"]
fig, panels = plt.subplots(1, 3, figsize=(11, 3.6), width_ratios=[1.3, 0.8, 1])
for i, (name, values) in enumerate(measured.items()):
    look = {"color": figures.PALETTE[i], "hatch": ["", "//", ".."][i], "edgecolor": "white", "capsize": 2}
    panels[0].bar(np.arange(5) + 0.27 * (i - 1), values.mean(0), 0.25, yerr=values.std(0, ddof=1), label=name, **look)
    alpha, opacity = weightings[:1200][first[0, :1200] == i][:, [0, 3]].T
    panels[2].scatter(alpha, opacity, s=8, color=look["color"], marker=figures.MARKERS[i], label=name)
panels[0].set_xticks(range(5), labels=TERMS)
panels[0].set(ylabel="measured", ylim=(0, 1))
panels[0].legend(fontsize=8)
figures.dots_with_spread(panels[1], wins, paired=False)
panels[1].set(ylabel="share of weightings: first", ylim=(0, 1), title=f"equal weights: {list(SYSTEMS)[equal]}")
panels[2].set(xlabel="weight α of performance M", ylabel="weight λ of opacity O")
panels[2].legend(fontsize=8, loc="upper right")
figures.show(
    fig,
    alt="Left: five terms for three systems; the linear one is least accurate and has least opacity and risk. Middle: how "
    "often each is first. Right: the linear system is first where the weight of performance is small.",
    caption="Left: the terms, mean and standard deviation. Middle: how often each is first. Right: which, by two weights of five.",
)

# %% [markdown]
# With equal weights the winner is the system that is wrong most often: it is open and hardly ever sure, and the sum counts each of
# these, and accuracy once. Other weights, another winner, in more than one weighting of seven. Only the plain network is first nearly nowhere, because the
# robust one is as good or better in every term, within the spread: such *dominance* is the one ranking that needs no weights. Everything
# else is a decision: what the weights are, and before that how each term is defined and in which unit (count $R$ in errors a year, and it outweighs all). It
# depends on the use, so it is written down, with a name and a reason. Try to make each system win:


# %% tags=["nbval-ignore-output"]
def weigh(α, β, γ, λ, ρ):
    weights = np.array([[α, β, γ, λ, ρ]])
    score = reliability(all_terms, weights / max(weights.sum(), 1e-9))[..., 0]
    fig, ax = plt.subplots(figsize=(6, 2.6))
    figures.dots_with_spread(ax, dict(zip(SYSTEMS, score, strict=True)))
    ax.set(ylabel="reliability")
    plt.close(fig)
    display(fig)


sliders = {
    name: widgets.FloatSlider(0.2, min=0, max=1, step=0.05, description=f"{name} ({term})")
    for name, term in zip("αβγλρ", TERMS, strict=True)
}
display(widgets.VBox([*sliders.values(), widgets.interactive_output(weigh, sliders)]))


# %% [markdown]
# ## 8. The record, and what a reviewer would ask
#
# What does the ledger know about the models that *you* trained in 00 to 07? Where a row says "not run", that evidence is missing, and this
# notebook's own small models stood in for it.

# %% tags=["nbval-ignore-output"]
COVERAGE = """
SELECT substr(session.notebook, 1, 2) AS number, count(DISTINCT run.id) AS runs,
       count(DISTINCT CASE WHEN evaluation.id IS NOT NULL THEN run.id END) AS evaluated,
       count(DISTINCT CASE WHEN evaluation.group_name <> '' THEN run.id END) AS "by group",
       count(DISTINCT CASE WHEN environment.shift <> '' THEN run.id END) AS "under shift",
       count(DISTINCT monitoring_event.run_id) AS monitored
FROM training_run AS run JOIN session ON session.id = run.session_id
LEFT JOIN evaluation ON evaluation.run_id = run.id
LEFT JOIN environment ON environment.id = evaluation.environment_id
LEFT JOIN monitoring_event ON monitoring_event.run_id = run.id
GROUP BY 1
"""
coverage = ledger.query(COVERAGE).set_index("number")
wanted = [f"{number:02d}" for number in range(9)]
EVENTS = "SELECT run_id, alarm FROM monitoring_event WHERE environment_id = ?"
BY_GROUP = "SELECT DISTINCT group_name FROM evaluation JOIN training_run AS r ON r.id = run_id WHERE session_id = ?"
groups = set(ledger.query(BY_GROUP, [ledger.session()]).group_name) - {""}
runs = ledger.query("SELECT status FROM training_run WHERE session_id = ?", [ledger.session()])
assert set(runs.status) == {"completed"}
assert groups == set(GROUPS)
assert ledger.query(EVENTS, [place]).alarm.sum() >= 1
coverage.astype(object).reindex(wanted, fill_value="not run")

# %% [markdown]
# - **E**: *For whom, and under which change, was it measured?* The four groups, the noisy sensor, the reversed polarity: nothing else.
# - **E**: *What rings, how often for nothing, how long after?* False alarms and delay are properties of a monitor, like accuracy.
# - **D**: *Who chose the data it is checked on?* If the model did, where is the random slice?
# - **Θ**: *Which version can you roll back to?* And what was it trained on?
# - **G**: *Who set the threshold, the fairness rule, the weights? Why?* Those are decisions. The last notebook asks you to sign them.
#
# ## 9. What you can do now
#
# 1. **Measure** by group, choose a remedy by its price, and say why fair rules conflict (section 1).
# 2. **Test** and repair calibration, and name the limits of a guarantee (section 2).
# 3. **Run** drift tests and a monitor, and act by cause (section 3).
# 4. **Attack**, harden, and unmask (section 4).
# 5. **Keep** a loop honest, and a language model quiet where it knows nothing (sections 5 and 6).
# 6. **Show** what a score rests on (section 7).
#
# **Limits of this evidence.** Small networks; invented shortcuts, changes and facts, each with one cause, where real ones come together. Groups
# that are known: nobody's gender is on the top row. One attack norm. Thresholds come from a pilot with 20 other replicates.
#
# ### Your turn
#
# 1. Give the rare groups 60 examples each (`RARE = 60`). Predict first: what does the last layer still gain?
# 2. Move `.clamp(0, 1)` inside `input_gradient`, before the network, and out of `pgd`. Which numbers get better, and which check exposes it?
# 3. Let the random slice be 2 %. After how many rounds is the dark scanner's digit granted?
#
# ### Scale it up
#
# On a GPU try `REPEATS, AT_ONCE = 1000, 400` and `STREAMS = 5000`: do the intervals in section 3 still overlap anywhere? With wider
# networks in section 1 (`[64, 512, 512, 2]`), does reweighting help less, as Sagawa et al. say?
#
# ### References
#
# - Angelopoulos & Bates 2023, *Conformal prediction: a gentle introduction*, FnT Machine Learning 16; Vovk, Gammerman & Shafer 2005, *Algorithmic
#   learning in a random world*; Tibshirani et al. 2019, *Conformal prediction under covariate shift*, NeurIPS
# - Athalye, Carlini & Wagner 2018, *Obfuscated gradients give a false sense of security*, ICML; Carlini & Wagner 2016, arXiv:1607.04311; Carlini et al.
#   2019, *On evaluating adversarial robustness*, arXiv:1902.06705
# - Chouldechova 2017, *Fair prediction with disparate impact*, Big Data 5; Kleinberg, Mullainathan & Raghavan 2017, *Inherent trade-offs in the fair
#   determination of risk scores*, ITCS
# - Ensign et al. 2018, *Runaway feedback loops in predictive policing*, FAT*; Lakkaraju et al. 2017, *The selective labels problem*, KDD; Shumailov et al.
#   2024, *AI models collapse when trained on recursively generated data*, Nature 631
# - Geifman & El-Yaniv 2017, *Selective classification for deep neural networks*, NeurIPS; Kalai & Vempala 2024, *Calibrated language models must
#   hallucinate*, STOC
# - Geirhos et al. 2020, *Shortcut learning in deep neural networks*, Nature Machine Intelligence 2; Idrissi et al. 2022, *Simple data balancing achieves
#   competitive worst-group-accuracy*, CLeaR; Kirichenko, Izmailov & Wilson 2023, *Last layer re-training is sufficient for robustness to spurious
#   correlations*, ICLR; Sagawa et al. 2020, *Distributionally robust neural networks*, ICLR
# - Goodfellow, Shlens & Szegedy 2015, *Explaining and harnessing adversarial examples*, ICLR; Madry et al. 2018, *Towards deep learning models resistant to
#   adversarial attacks*, ICLR; Szegedy et al. 2014, *Intriguing properties of neural networks*, ICLR; Tsipras et al. 2019, *Robustness may be at odds with
#   accuracy*, ICLR; Yang et al. 2020, *A closer look at accuracy vs. robustness*, NeurIPS
# - Gretton et al. 2012, *A kernel two-sample test*, JMLR 13; Lipton, Wang & Smola 2018, *Detecting and correcting for label shift*, ICML; Lopez-Paz &
#   Oquab 2017, *Revisiting classifier two-sample tests*, ICLR; Page 1954, *Continuous inspection schemes*, Biometrika 41; Rabanser, Günnemann & Lipton
#   2019, *Failing loudly*, NeurIPS
# - Guo et al. 2017, *On calibration of modern neural networks*, ICML; Nixon et al. 2019, *Measuring calibration in deep learning*, CVPR workshops; Ovadia
#   et al. 2019, *Can you trust your model's uncertainty?*, NeurIPS
#
# When you are done, shut the kernel down (**Kernel → Shut Down Kernel**), so that its memory is free for the next notebook.
