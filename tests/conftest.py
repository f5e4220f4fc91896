"""What all tests share: interpreters and the emulated board (tests/tools), sums of counts."""

pytest_plugins = ["tests.tools.micropythons", "tests.tools.summary", "tests.tools.hil"]
