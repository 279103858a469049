"""The doors' fixtures serve here too."""

from tests.auth.conftest import another_host

__all__ = ["another_host"]
