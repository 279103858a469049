"""Elders with dated facts, their credentials and cards, and the imports that bring them."""
