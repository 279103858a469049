"""Show settlement to people: pages, what they read, explanations and exports."""
