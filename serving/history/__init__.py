"""Histories while serving: looked up and added to on the way of a call, and looked after beside it."""
