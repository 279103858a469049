"""Show the rule desk to people: rulebooks, simulations, revaluations, the calendar."""
