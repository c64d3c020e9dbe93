"""Sentences that say which encoder wins on what."""

from xlclass.evaluation.encoder_verdicts import verdicts

COSTS = {"muse": (1.0, 0.05, 0.10), "e5": (25.0, 0.35, 0.40), "pair": (9.0, 0.13, 0.06)}  # ms a text, cost per million, share of the language


def row(contender, language, top1, interval=(None, None), lag=0.0, lag_low=None):
    cost = dict(zip(("milliseconds_per_text", "cost_per_million", "language_variance_share"), COSTS[contender], strict=True))
    gain = {"gain": top1 - 0.5, "gain_low": interval[0], "gain_high": interval[1], "lag": lag, "lag_low": lag_low}
    return {"contender": contender, "language": language, "reference": "muse", "support": 1_200, "top1": top1, **gain, **(cost if language == "all" else {})}


ALL = [row(name, "all", 0.5) for name in ("pair", "muse", "e5")]


def test_verdicts_name_the_best_the_worse_and_the_fastest_that_is_as_good():
    rows = [
        *ALL,
        row("muse", "other", 0.5, (0, 0), lag=0.2, lag_low=0.15),
        row("e5", "other", 0.7, (0.15, 0.25), lag=0.0, lag_low=0.0),
        row("pair", "other", 0.69, (0.1, 0.24), lag=0.01, lag_low=-0.02),
    ]
    other, _, against, _ = verdicts(rows)
    assert other == (
        "Languages that muse was not trained on (1,200 test videos): e5 is the best with 0.700, muse has 0.500 (+0.200, 95 % interval +0.150 to +0.250, "
        "beyond chance). Worse beyond chance: muse (-0.200). The fastest that is not worse beyond chance: pair, 2.8 times as fast as the best."
    )
    assert against == (
        "Against muse: pair takes 9.0 times as long, better in the other languages (+0.190); "
        "e5 takes 25.0 times as long, better in the other languages (+0.200)."
    )


def test_verdicts_say_when_the_reference_wins_and_when_chance_explains_it():
    reference_wins = [row("muse", "training", 0.6, (0, 0), 0.0, 0.0), row("e5", "training", 0.4, (-0.15, -0.05), 0.1, 0.05)]
    chance = [row("muse", "known", 0.5, (0, 0), 0.02, -0.01), row("e5", "known", 0.52, (-0.01, 0.05), 0.0, 0.0)]
    few = [row("muse", "other", 0.5, lag=0.02), row("e5", "other", 0.52)]
    training, known, other, _, against, _ = verdicts([*ALL, *reference_wins, *chance, *few])
    assert training.endswith("muse is the best with 0.600. Worse beyond chance: e5 (-0.100). None of the others is both as good and faster.")
    assert "95 % interval -0.010 to +0.050, within chance). Worse beyond chance: none." in known
    assert known.endswith("The fastest that is not worse beyond chance: muse, 25.0 times as fast as the best.")
    assert other.endswith("muse has 0.500 (+0.020; too few channels to tell it from chance).")
    assert "e5 takes 25.0 times as long, worse in the training languages (-0.100)." in against


def test_verdicts_compare_time_cost_and_language():
    price, against, language = verdicts(ALL)
    assert price == "muse encodes a text in 1.00 ms on one core, a million texts for 0.05."
    assert against.startswith("Against muse: pair takes 9.0 times as long, no difference beyond chance; e5 takes")
    assert language.endswith("lowest first: pair 0.060, muse 0.100, e5 0.400.")
    assert verdicts([]) == []
