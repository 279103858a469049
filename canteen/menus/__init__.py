"""What a canteen sells and where: dishes with dated prices, a plan by day, what is sold out, serving points."""
