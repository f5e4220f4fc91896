"""The lab shares the lock of tests that load the machine with those that measure a line."""

from tests.host.conftest import others  # noqa: F401
