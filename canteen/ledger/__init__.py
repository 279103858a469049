"""Accounts, transfers, and the periods that they are booked to."""
