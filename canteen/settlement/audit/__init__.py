"""Compute closed periods a second way and name every difference."""
