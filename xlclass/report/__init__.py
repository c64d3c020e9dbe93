"""The lake as an HTML page, and a summary table for the terminal."""
