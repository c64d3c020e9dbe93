"""Selective accuracy in numpy, against scikit-learn on the surest part and a plain sorting. On the cluster: test_scoring.py."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from xlclass.quality.selective import COVERAGES, selective_accuracy


def sorted_accuracy(confidence, right, percent):
    """The surest first, each as right as the videos of its confidence are on average; the mean of the first ones."""
    frame = pd.DataFrame({"confidence": confidence, "right": np.where(np.isnan(confidence), 0, right)}).fillna({"confidence": -1})
    frame["right"] = frame.groupby("confidence").right.transform("mean")
    num = int(np.ceil(len(frame) * percent / 100))
    return frame.sort_values("confidence", ascending=False).right.head(num).mean()


@pytest.mark.parametrize("percent", COVERAGES)
@pytest.mark.parametrize("seed", range(20))
def test_selective_accuracy_agrees_with_scikit_learn_on_the_surest_part(seed, percent):
    rng = np.random.default_rng(seed)
    confidence, labels, given = rng.permutation(rng.integers(1, 500) * 2) / 1000, *rng.integers(0, 3, (2, 1000))
    labels, given = labels[: len(confidence)], given[: len(confidence)]
    surest = np.argsort(-confidence)[: int(np.ceil(len(confidence) * percent / 100))]
    found = selective_accuracy(confidence, labels == given, percent)
    assert found == pytest.approx(accuracy_score(labels[surest], given[surest]), abs=1e-9)


@pytest.mark.parametrize("percent", COVERAGES)
@pytest.mark.parametrize("seed", range(20))
def test_selective_accuracy_with_ties_does_not_depend_on_the_order(seed, percent):
    rng = np.random.default_rng(seed)
    confidence, right = rng.random(rng.integers(1, 60)).round(1), rng.integers(0, 2, 60)
    right = right[: len(confidence)]
    confidence[rng.random(len(confidence)) < 0.2] = np.nan
    found = selective_accuracy(confidence, right, percent)
    assert found == pytest.approx(sorted_accuracy(confidence, right, percent), abs=1e-9)
    order = rng.permutation(len(confidence))
    assert found == pytest.approx(selective_accuracy(confidence[order], right[order], percent), abs=1e-12)


def test_selective_accuracy_of_hand_worked_ties():
    """Half of five is three: 0.9 whole, and two of the three at 0.5, of which one in three is right: (1 + 2/3) / 3."""
    assert selective_accuracy(np.array([0.5, 0.9, 0.5, 0.1, 0.5]), np.array([0, 1, 0, 1, 1]), 50) == pytest.approx(5 / 9)


def test_selective_accuracy_without_a_prediction_is_wrong_and_last():
    """Of four, two have none: the surer half is the other two, and all four are half right, whatever is said to be right."""
    confidence = np.array([np.nan, 0.2, 0.1, np.nan])
    assert [selective_accuracy(confidence, np.ones(4, int), percent) for percent in (50, 75, 100)] == pytest.approx([1, 2 / 3, 0.5])
    assert selective_accuracy(np.array([]), np.array([]), 50) is None
