"""How fast the product is, beside what the machine could do at most: `make bench`. Nothing fails on a time.

Contenders are interleaved in rotating order, each on a database just emptied or copied; a ratio is the median over
rounds of (contender / base of the same round). Absolute figures are context for one machine and day.
"""
