"""The policy engine, pure: a rulebook, a diner, a meal and what was used before give one quote. Standard library only."""
