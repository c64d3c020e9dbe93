"""MUSE v3 (CNN): its network as a TensorFlow graph, and the SavedModel built from the package with its weights."""
