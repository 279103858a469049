"""Applications for the meal subsidy: taken at a desk, with opinions of community and street, then valid."""
