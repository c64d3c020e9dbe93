"""How good the categories are, and how that is seen."""
