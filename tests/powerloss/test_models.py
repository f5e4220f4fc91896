"""The chip models themselves: a fault model that is kinder than a chip proves nothing."""

import pytest
from runners import run


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
@pytest.mark.parametrize("script", ["chip"])
def test_model(interpreter, script, tmp_path):
    done = run(interpreter, script, tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("ok "), done.stdout + done.stderr
