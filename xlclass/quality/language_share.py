"""How much of the variance of vectors tells the language rather than the content."""

from __future__ import annotations

import numpy as np

MIN_VIDEOS = 20  # of a language; with fewer, its mean is mostly noise


def language_variance_share(vectors: np.ndarray, languages: np.ndarray) -> float | None:
    """Share of the variance of `vectors (n, dim)` that lies between their `languages (n,)`, 0 to 1; null with fewer than two languages.

    Each language with at least 20 vectors counts once: with m its mean, M the mean of these means, B the mean over languages of |m - M|^2,
    and W the mean over languages of the mean |x - m|^2 of its vectors x, the share is B / (B + W). For languages with equally many vectors,
    this is the sum of squares between groups divided by the total one (eta squared; Fisher 1925, Statistical Methods for Research Workers,
    chapter 7).

    >>> x = np.repeat([[0.0], [0.0], [1.0], [3.0]], 10, axis=0)
    >>> language_variance_share(x, np.repeat(["en", "fr"], 20))
    0.6666666666666666
    """
    groups = [vectors[languages == code].astype(np.float64) for code in sorted(set(languages.tolist()))]
    groups = [group for group in groups if len(group) >= MIN_VIDEOS]
    if len(groups) < 2:
        return None
    means = np.array([group.mean(axis=0) for group in groups])
    between = ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean()
    within = np.mean([((group - mean) ** 2).sum(axis=1).mean() for group, mean in zip(groups, means, strict=True)])
    total = between + within
    return float(between / total) if total > 0 else None
