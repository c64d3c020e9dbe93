"""The contenders of a comparison of encoders, and the vectors by which each meets the head.

The head of a contender is trained on the contender's own vectors of the training languages, with one exception: `e5-mapped` has the head and
the calibration of MUSE, and meets them with e5's vectors, mapped into MUSE's space, in every language, the training languages included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from xlclass.config import EncoderSettings, Settings, load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.muse.build import LANGUAGES
from xlclass.encoders.muse.graph import DIM as MUSE_DIM
from xlclass.encoders.pair import Encoders, Part, Route
from xlclass.errors import SettingsError
from xlclass.model.alignment import Alignment, fit_centring
from xlclass.model.alignment_choice import chosen_centring

PLAIN, INT8, SHIFTED, CENTRED, BOTH, MAPPED, PAIR = "plain", "int8", "shifted", "centred", "both", "mapped", "pair"
_EMBEDDED = {  # contender: form, precision of MUSE, whether e5 is a part
    "muse": (PLAIN, "float32", False),
    "muse-bfloat16": (PLAIN, "bfloat16", False),
    "muse-int8": (INT8, "float32", False),
    "e5": (SHIFTED, "float32", True),
    "e5-centred": (CENTRED, "float32", True),
    "e5-mapped": (MAPPED, "float32", True),
    "pair": (PAIR, "float32", True),
    "both": (BOTH, "float32", True),
}
_INT8_MAX = 127
_SCALE_BYTES = 4


@dataclass(frozen=True)
class Contender:
    """An encoder or several, and how their vectors reach the head.

    `form` is plain (as they are), int8 (through eight bits), shifted (without the mean of all languages), centred (without the mean of the
    language), both (MUSE and e5 side by side, centred as training does), mapped (of the second encoder, in the space of the first) or pair (of
    the first one for its languages, else mapped).
    """

    name: str
    form: str
    specs: tuple[EncoderSpec, ...]

    @property
    def trained_like(self) -> tuple[object, ...]:
        """Equal for contenders whose heads learn from equal vectors."""
        shares_head = self.form == MAPPED
        return (PLAIN, self.specs[:1]) if shares_head else (self.form, self.specs)

    def parts(self, languages: np.ndarray) -> list[tuple[EncoderSpec, np.ndarray]]:
        """The encoders that encode texts of these languages `(n,)`, each with a mask of its texts."""
        everything = np.ones(len(languages), bool)
        if self.form == MAPPED:
            return [(self.specs[1], everything)]
        if self.form != PAIR:
            return [(spec, everything) for spec in self.specs]
        chosen = self._encoder_ids(languages)
        return [(spec, chosen == spec.encoder_id) for spec in self.specs]

    def vector_bytes(self, languages: np.ndarray) -> float:
        """Mean bytes of a stored vector of texts of these languages `(n,)`."""
        number, extra = (1, _SCALE_BYTES) if self.form == INT8 else (2, 0)
        return float(sum((number * spec.dim + extra) * mask.sum() for spec, mask in self.parts(languages)) / len(languages))

    def head_vectors(
        self, vectors: Mapping[str, np.ndarray], languages: np.ndarray, is_train: np.ndarray, align: Callable[[EncoderSpec, EncoderSpec], Alignment]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors `(n, dim) float32` that the head learns from, and those that it is scored on.

        `vectors` has each encoder's `(n, dim)` by encoder_id, of texts in `languages (n,)`; the texts of `is_train (n,)` fit what is fitted.
        """
        raw = [vectors[spec.encoder_id].astype(np.float32) for spec in self.specs]
        if self.form in (MAPPED, PAIR):
            main, extension = self.specs
            mapped = align(main, extension).apply(raw[1], languages)
            if self.form == MAPPED:
                return raw[0], mapped
            ready = np.where((self._encoder_ids(languages) == main.encoder_id)[:, None], raw[0], mapped)
        elif self.form == BOTH:
            joined = np.hstack(raw)
            width = self.specs[0].dim if len(self.specs) > 1 else MUSE_DIM  # else one SavedModel computes both
            halves = (joined[is_train, :width], joined[is_train, width:])
            ready = chosen_centring(*halves, languages[is_train], LANGUAGES)[0].apply(joined, languages)
        elif self.form in (SHIFTED, CENTRED):
            centring = fit_centring(raw[0][is_train], languages[is_train])
            ready = (centring if self.form == CENTRED else dataclasses.replace(centring, means={})).apply(raw[0], languages)
        else:
            ready = dequantised(*quantised(raw[0])) if self.form == INT8 else raw[0]
        return ready, ready

    def _encoder_ids(self, languages: np.ndarray) -> np.ndarray:
        route = Route(tuple(Part(spec.encoder_id, spec.dim, spec.languages) for spec in self.specs))
        return np.array([route.encoder_of(code) for code in languages.tolist()], object)


def contenders_of(settings: Settings) -> list[Contender]:
    """The contenders of the settings, their encoders present on this machine's disk and checked.

    Raises:
        EncoderError: an encoder is missing, damaged, or breaks the contract.
        SettingsError: a settings file of a contender cannot be used.
    """
    return [_embedded(name, settings) if name in _EMBEDDED else _of_file(name, settings) for name in dict.fromkeys(settings.comparison.contenders)]


def _embedded(name: str, settings: Settings) -> Contender:
    form, precision, with_e5 = _EMBEDDED[name]
    encoder = EncoderSettings(cache=settings.encoder.cache, precision=precision, extension="e5" if with_e5 else "none")
    specs = resolve_encoders(dataclasses.replace(settings, encoder=encoder)).specs
    return Contender(name, form, specs[1:] if name in ("e5", "e5-centred") else specs)


def _of_file(name: str, settings: Settings) -> Contender:
    """The contender that the [encoder] of a settings file describes."""
    try:
        encoders = resolve_encoders(load_settings(settings.resolve(name)))
    except SettingsError as error:
        raise SettingsError(f"{settings.file}: comparison.contenders: {error}") from error
    return Contender(name, _form(encoders), encoders.specs)


def _form(encoders: Encoders) -> str:
    if len(encoders.specs) > 1:
        return PAIR
    return BOTH if encoders.is_centred else PLAIN


def quantised(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`vectors (n, dim)` in eight bits, `(n, dim) int8`, and the scale of each, `(n, 1) float32`: symmetric, from -127 to 127.

    >>> numbers, scales = quantised(np.array([[0.5, -1.0, 0.0]], np.float32))
    >>> numbers.tolist()
    [[64, -127, 0]]
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scales = (np.where(largest > 0, largest, 1) / _INT8_MAX).astype(np.float32)
    return np.rint(vectors / scales).astype(np.int8), scales


def dequantised(numbers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The vectors `(n, dim) float32` of what `quantised` gives."""
    return numbers.astype(np.float32) * scales
