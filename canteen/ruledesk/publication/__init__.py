"""Publish a rulebook through the one gate: a second person, closed periods, the layers above."""
