"""People of the bureaus and canteens, their grants, sessions, and the tablets."""
