"""The store of histories in Redis, which replicas share: states as strings, changed by a script in one round trip."""
