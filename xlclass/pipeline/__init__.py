"""From the rows of a source to videos, embeddings and predictions: planned, in chunks, exactly once."""
