"""Files from outside: rosters, canteens, contracts, staff. Bounded, checked first, applied whole or not at all (P31)."""
