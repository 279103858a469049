"""Move a claim from draft to paid, and withhold or disallow single meals on the way."""
