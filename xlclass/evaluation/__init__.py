"""Evaluation of a model version: accuracy and confidence tables, and the list of label issues."""
