"""The Fraud Detection Handbook's own table, by its protocol, from declared histories."""
