"""Vector to categories: the head, how its confidences are decided upon, and the folder that a model version is."""
