"""Close a period: what it sold, what a person must judge, what may be claimed."""
