"""A search for the settings of the forest, inside the training part of the data."""

BOOSTERS = ("xgboost", "lightgbm")
"""The libraries of ``boosters``, which ``--also`` names: here, as what reads arguments loads none of a search."""
