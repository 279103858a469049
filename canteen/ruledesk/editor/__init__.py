"""Write a rulebook by form or as YAML, compare versions, try an elder."""
