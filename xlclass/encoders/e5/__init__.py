"""multilingual-e5-small: a Transformer of 12 layers for about 100 languages."""
