"""Replay past meals under another rulebook and sum what it would have cost."""
