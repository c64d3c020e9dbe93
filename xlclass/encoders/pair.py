"""The encoders of a system, and which of them a language goes to.

Each part keeps its vectors under its own `encoder_id`. A second part, or a new matrix between the two, therefore encodes nothing anew of
what is there. A language goes to the first part that was trained on it; the last part takes all others, unknown ones included. Of 1,200 real
titles whose language could not be decided, 78.9 % got their label by the second encoder, 70.8 % by the first (tests/bench/every_language.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xlclass.encoders.contract import EncoderSpec

if TYPE_CHECKING:
    from pyspark.sql import Column


class Part(NamedTuple):
    """An encoder, the length of its vectors, and the languages that it was trained on, if they are known."""

    encoder_id: str
    dim: int
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """Which encoder makes the vector of a video, by the video's language."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Route:
        """The route of a model version; one trained before there were pairs has a single encoder, whose languages are not recorded."""
        parts = manifest.get("parts") or [{"encoder_id": manifest["encoder_id"], "dim": manifest["dim"], "languages": []}]
        return cls(tuple(Part(part["encoder_id"], part["dim"], tuple(part["languages"])) for part in parts))

    @property
    def encoder_ids(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(part.encoder_id for part in self.parts)

    @property
    def known_languages(self) -> tuple[tuple[str, ...], ...]:
        """The languages that each part was trained on."""
        return tuple(part.languages for part in self.parts)

    def encoder_of(self, language: str) -> str:
        """The encoder_id for a language.

        >>> route = Route((Part("muse", 512, ("en", "fr")), Part("e5", 384)))
        >>> route.encoder_of("fr"), route.encoder_of("cs"), route.encoder_of("und")
        ('muse', 'e5', 'e5')
        """
        return next((part.encoder_id for part in self.parts[:-1] if language in part.languages), self.parts[-1].encoder_id)

    def column(self) -> Column:
        """The encoder_id for the column `language`."""
        from pyspark.sql import functions as F

        *others, last = self.parts
        known = [F.when(F.col("language").isin(*part.languages), F.lit(part.encoder_id)) for part in others]
        return F.coalesce(*known, F.lit(last.encoder_id))

    def is_on_it(self) -> Column:
        """Whether a row of `embeddings` is by the encoder for its language."""
        from pyspark.sql import functions as F

        return F.col("encoder_id") == self.column()

    def expression(self) -> Any:
        """`is_on_it` as a filter of pyarrow."""
        import pyarrow as pa
        import pyarrow.compute as pc

        encoder_id, language = pc.field("encoder_id"), pc.field("language")
        *others, last = self.parts
        chosen = encoder_id == last.encoder_id
        for part in reversed(others):
            is_known = language.isin(pa.array(part.languages, "string"))
            chosen = (is_known & (encoder_id == part.encoder_id)) | (~is_known & chosen)
        return chosen


@dataclass(frozen=True)
class Encoders:
    """The encoders of the settings, in the order of the route: the first one's space is the head's.

    `recorded` holds the settings that give these encoders again, for the manifest of a model version.
    """

    specs: tuple[EncoderSpec, ...]
    recorded: Mapping[str, Any]
    is_centred: bool = False  # the head sees vectors without the mean of their language

    @property
    def main(self) -> EncoderSpec:
        """The encoder whose space the head sees."""
        return self.specs[0]

    @property
    def route(self) -> Route:
        """Which of them a language goes to."""
        return Route(tuple(Part(spec.encoder_id, spec.dim, spec.languages) for spec in self.specs))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that some part was trained on; empty if they are unknown."""
        known = [spec.languages for spec in self.specs]
        return tuple(dict.fromkeys(code for codes in known for code in codes)) if all(known) else ()
