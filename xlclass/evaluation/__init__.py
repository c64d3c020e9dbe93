"""How good a model version is: the accuracy and confidence tables, and the labels to look at."""
