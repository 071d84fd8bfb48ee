"""Files of the store of histories, and who may touch them."""
