"""What a canteen does besides selling meals: complaints answered, food sent to points, telephone orders, other services."""
