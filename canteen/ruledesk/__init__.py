"""The rule desk: rulebooks written, tried, replayed over past meals, compared, published. Reads sales, so it stands high."""
