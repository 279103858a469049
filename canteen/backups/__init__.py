"""Backups: one encrypted file with the whole database, read back and compared; it holds no key."""
