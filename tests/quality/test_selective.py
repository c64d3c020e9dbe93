"""Selective accuracy in numpy, against scikit-learn on the most confident videos and against plain sorting. For Spark see test_scoring.py."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from xlclass.quality.selective import COVERAGES, selective_accuracy


def sorted_accuracy(confidence, correct, percent):
    """Mean over the most confident videos, in which each video has the mean accuracy of its confidence."""
    frame = pd.DataFrame({"confidence": confidence, "correct": np.where(np.isnan(confidence), 0, correct)}).fillna({"confidence": -1})
    frame["correct"] = frame.groupby("confidence").correct.transform("mean")
    num_covered = int(np.ceil(len(frame) * percent / 100))
    return frame.sort_values("confidence", ascending=False).correct.head(num_covered).mean()


CASES = [(seed, percent) for seed in range(20) for percent in COVERAGES]


def test_selective_accuracy_agrees_with_scikit_learn_on_the_most_confident_videos():
    failures = []
    for seed, percent in CASES:
        rng = np.random.default_rng(seed)
        confidence, labels, predicted = rng.permutation(rng.integers(1, 500) * 2) / 1000, *rng.integers(0, 3, (2, 1000))
        labels, predicted = labels[: len(confidence)], predicted[: len(confidence)]
        covered = np.argsort(-confidence)[: int(np.ceil(len(confidence) * percent / 100))]
        accuracy = selective_accuracy(confidence, labels == predicted, percent)
        if accuracy != pytest.approx(accuracy_score(labels[covered], predicted[covered]), abs=1e-9):
            failures.append((seed, percent, accuracy))
    assert failures == []


def test_selective_accuracy_with_ties_does_not_depend_on_the_order():
    failures = []
    for seed, percent in CASES:
        rng = np.random.default_rng(seed)
        confidence, correct = rng.random(rng.integers(1, 60)).round(1), rng.integers(0, 2, 60)
        correct = correct[: len(confidence)]
        confidence[rng.random(len(confidence)) < 0.2] = np.nan
        order = rng.permutation(len(confidence))
        accuracy, reordered = (selective_accuracy(confidence[rows], correct[rows], percent) for rows in (slice(None), order))
        if accuracy != pytest.approx(sorted_accuracy(confidence, correct, percent), abs=1e-9) or accuracy != pytest.approx(reordered, abs=1e-12):
            failures.append((seed, percent, accuracy, reordered))
    assert failures == []


def test_selective_accuracy_of_hand_worked_ties():
    """Half of five is three: the video at 0.9, and two of the three at 0.5, one of which is correct: (1 + 2/3) / 3."""
    assert selective_accuracy(np.array([0.5, 0.9, 0.5, 0.1, 0.5]), np.array([0, 1, 0, 1, 1]), 50) == pytest.approx(5 / 9)


def test_selective_accuracy_counts_a_missing_prediction_as_wrong_and_last():
    """Two of four videos have no prediction. The other two are the more confident half; over all four the accuracy is 0.5."""
    confidence = np.array([np.nan, 0.2, 0.1, np.nan])
    assert [selective_accuracy(confidence, np.ones(4, int), percent) for percent in (50, 75, 100)] == pytest.approx([1, 2 / 3, 0.5])
    assert selective_accuracy(np.array([]), np.array([]), 50) is None
