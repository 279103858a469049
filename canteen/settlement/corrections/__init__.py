"""Correct what closed periods could not know, by counter-entries in an open one."""
