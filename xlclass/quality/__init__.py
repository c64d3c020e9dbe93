"""Splits, metrics, calibration error, the promotion gate and label checks."""
