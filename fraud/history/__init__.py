"""What a card, a customer or a terminal did before: windows declared in the schema, the same offline and online."""
