"""States of keys: what is erased of them, and what an online store is begun with."""
