"""A search for the settings of the forest, inside the training part of the data."""
