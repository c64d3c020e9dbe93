"""From the source's rows to videos, embeddings and predictions: planned, in chunks, exactly once."""
