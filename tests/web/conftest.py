"""Use the fixtures of tests/auth."""

from tests.auth.conftest import another_host

__all__ = ["another_host"]
