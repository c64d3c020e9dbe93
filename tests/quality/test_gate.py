"""The gate: figures by hand, margins against closed forms, and which losses it refuses."""

import dataclasses

import numpy as np
import pytest

from xlclass.config import GateSettings
from xlclass.quality.gate import Answers, judge

SETTINGS = GateSettings(resamples=1_000)


def answers(right, confidence=0.5, given=True):
    """Answers on as many videos as `right` has; a single confidence or decision applies to all."""
    right = np.asarray(right, bool)
    return Answers(right, np.broadcast_to(confidence, right.shape).astype(float), np.broadcast_to(given, right.shape))


def channels_of(num, size=1):
    """`num` videos in channels of `size`."""
    return [f"channel {i // size}" for i in range(num)]


def drawn(rng, num, top1):
    """Answers that are right with probability `top1`, which is also their confidence."""
    return answers(rng.random(num) < top1, top1)


def test_judge_gives_the_figures_of_both_by_hand():
    before = answers([1, 1, 0, 0], given=[True, True, True, False])
    after = answers([1, 0, 1, 1], given=[True, False, False, False])
    whole = judge(["en"] * 4, channels_of(4), before, after, SETTINGS).groups[0]
    assert (whole.name, whole.num_videos, whole.calibration) == ("all languages", 4, None)  # no bin of a hundred
    assert (whole.accuracy.champion, whole.accuracy.challenger, whole.accuracy.amount) == (0.5, 0.75, 0.25)
    assert (whole.coverage.champion, whole.coverage.challenger) == (0.75, 0.25)


@pytest.mark.parametrize("size", [1, 4])
def test_margin_is_that_of_a_mean_over_channels(size):
    """Of channels of equal size and equal answers, the variance of the mean is that of the channels over their number."""
    rng, num = np.random.default_rng(3), 2_000
    before, after = (np.repeat(rng.random(num // size) < share, size) for share in (0.6, 0.7))
    group = judge(["en"] * num, channels_of(num, size), answers(before), answers(after), GateSettings(resamples=4_000)).groups[0]
    deviation = np.std(after.astype(float) - before) / np.sqrt(num / size)
    assert group.accuracy.margin == pytest.approx(1.959964 * deviation, rel=0.05)


def test_judge_accepts_a_model_of_the_same_quality_and_gives_the_reason():
    """With twenty languages one looks worse in every trial; by the level, each of the three figures refuses one trial in twenty by chance."""
    languages, settings = np.repeat([f"l{i:02}" for i in range(20)], 300).tolist(), GateSettings(resamples=200)
    refused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        verdict = judge(languages, channels_of(6_000), drawn(rng, 6_000, 0.7), drawn(rng, 6_000, 0.7), settings)
        assert min(group.accuracy.amount for group in verdict.groups) < -SETTINGS.lost_accuracy
        refused += not verdict.is_accepted
        assert verdict.sentence.startswith("accepted: top-1 over all languages 0." if verdict.is_accepted else "refused: ")
    assert refused <= 3


def test_judge_refuses_a_loss_in_one_language_and_names_it():
    rng = np.random.default_rng(5)
    languages = ["en"] * 1_000 + ["fr"] * 1_000 + ["th"] * 400
    before = rng.random(2_400) < 0.8
    after = before.copy()
    after[2_000:2_100] = False
    before[2_000:2_100], after[:600] = True, True  # better in English: all languages together are not worse
    verdict = judge(languages, channels_of(2_400), answers(before, np.nan), answers(after, np.nan), SETTINGS)
    assert not verdict.is_accepted
    assert verdict.sentence.startswith("refused: th lost 0.250 of its top-1 (")
    assert "98.33 % interval of the change -0.3" in verdict.sentence  # three languages share the 5 %
    assert "400 test videos" in verdict.sentence
    assert len(verdict.losses) == 1


def test_judge_attributes_the_losses_of_one_channel_to_chance():
    """Forty lost videos are a tenth of the language, but all of one channel."""
    before, after = np.ones(400), np.ones(400)
    after[:40] = 0
    one, many = ["c"] * 40 + channels_of(360, 10), channels_of(400)
    assert judge(["th"] * 400, one, answers(before), answers(after), SETTINGS).is_accepted
    assert not judge(["th"] * 400, many, answers(before), answers(after), SETTINGS).is_accepted


def test_judge_compares_languages_with_few_videos_together():
    before, after = np.ones(500), np.ones(500)
    after[300:350] = 0
    languages = ["en"] * 300 + ["sv"] * 60 + ["fi"] * 60 + ["he"] * 80
    verdict = judge(languages, channels_of(500), answers(before), answers(after), SETTINGS)
    assert [(group.name, group.num_videos) for group in verdict.groups] == [("all languages", 500), ("en", 300), ("3 other languages together", 200)]
    assert "3 other languages together lost 0.250 of its top-1" in verdict.sentence


def test_judge_refuses_a_large_loss_even_if_few_videos_make_the_interval_wide():
    before, after = np.arange(20) < 14, np.arange(20) >= 9
    verdict = judge(["en"] * 20, channels_of(20), answers(before), answers(after), SETTINGS)
    low, high = verdict.groups[0].accuracy.interval
    assert low < 0 < high
    assert verdict.sentence.startswith("refused: all languages lost 0.150 of its top-1 (0.700 to 0.550")
    assert judge(["en"] * 20, channels_of(20), answers(before), answers(after), dataclasses.replace(SETTINGS, max_lost_accuracy=0.2)).is_accepted


def test_judge_refuses_worse_calibration():
    rng = np.random.default_rng(7)
    right = rng.random(2_000) < 0.7
    verdict = judge(["en"] * 2_000, channels_of(2_000), answers(right, 0.7), answers(right, 0.9), SETTINGS)
    assert verdict.groups[0].calibration.challenger == pytest.approx(0.9 - right.mean(), abs=0.005)
    assert [loss.split(" (")[0] for loss in verdict.losses] == [
        f"all languages grew by {verdict.groups[0].calibration.amount:.3f} in calibration error",
        f"en grew by {verdict.groups[1].calibration.amount:.3f} in calibration error",
    ]
    assert judge(["en"] * 2_000, channels_of(2_000), answers(right, 0.9), answers(right, 0.7), SETTINGS).is_accepted


def test_judge_refuses_less_coverage():
    given = np.arange(500) >= 50
    verdict = judge(["en"] * 500, channels_of(500), answers(np.ones(500)), answers(np.ones(500), given=given), SETTINGS)
    assert "en lost 0.100 of its coverage (1.000 to 0.900" in verdict.sentence


def test_judge_counts_a_video_without_a_text_as_wrong_and_ignores_its_confidence():
    confidence = np.where(np.arange(400) < 200, np.nan, 1.0)
    right = np.arange(400) >= 200
    whole = judge(["en"] * 400, channels_of(400), answers(right, confidence), answers(right, confidence), SETTINGS).groups[0]
    assert (whole.accuracy.champion, whole.calibration.champion) == (0.5, 0.0)


def test_judge_accepts_a_loss_that_is_just_tolerated():
    before, after = np.ones(1_000), np.ones(1_000)
    after[:50] = 0
    both = answers(before), answers(after)
    settings = dataclasses.replace(SETTINGS, lost_accuracy=0.05)
    assert judge(["en"] * 1_000, channels_of(1_000), *both, settings).is_accepted
    assert not judge(["en"] * 1_000, channels_of(1_000), *both, dataclasses.replace(settings, lost_accuracy=0.049)).is_accepted


def test_judge_gives_the_same_verdict_again_and_refuses_without_videos():
    rng = np.random.default_rng(9)
    both = drawn(rng, 300, 0.7), drawn(rng, 300, 0.7)
    given = (["en"] * 300, channels_of(300), *both, SETTINGS)
    assert judge(*given) == judge(*given)
    none = judge([], [], answers([]), answers([]), SETTINGS)
    assert none.sentence == "refused: there is no labelled test video to compare on"
