"""Rulebooks: read from YAML, stored as canonical JSON, published by a second person, in force at a place from a day on."""
