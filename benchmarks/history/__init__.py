"""Histories over HTTP: are they those of the offline pass, and what do they cost."""
