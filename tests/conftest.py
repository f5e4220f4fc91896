"""What all tests share: the interpreters and the emulated board are fixtures in tests/tools."""

pytest_plugins = ["tests.tools.micropythons"]
