"""xlclass: categorises a video catalogue in every language from labels in two."""

__version__ = "0.1.0"
