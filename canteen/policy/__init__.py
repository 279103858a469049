"""The policy engine: from a rulebook, a diner, a meal and earlier usage to one quote. Pure; standard library only."""
