"""Rulebooks: from YAML to canonical JSON, published by a second person, in force where and when."""
