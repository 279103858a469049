"""The demo city: 长春 by its real map, people and scheme invented, meals rung up by the real checkout or as it would have.

Everything is drawn from `randomness.source(seed, part)`, so that the same seed and day give the same city.
"""
