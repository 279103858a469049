"""Closing periods, statements, claims, their review and payment."""
