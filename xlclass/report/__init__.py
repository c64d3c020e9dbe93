"""The lake as one HTML page, and tables for a terminal."""
