"""`edgeckpt schema compile`: the written module on MicroPython gives the bytes of the tree."""

import os
import subprocess
from pathlib import Path

import pytest
from edgeckpt_host.schema_compile import write_module

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
TEXT = (
    "{epoch:u32,label:Option<str>,gains:[f32;3],samples:Vec<{ts:u64,ch:u8,value:i32}>,"
    "mode:enum{Idle,Run(u8)},key:[u8;4]}"
)
PROGRAM = """
import sys
from array import array
from edgeckpt import codec
from notation import encode
FORM = {form!r}
TEXT = {text!r}
samples = [dict(ts=i << 40, ch=i, value=-i << 20) for i in range(50)]
rows = samples
state = dict(epoch=0xFFFFFFFF, label="a", gains=[1.0, 2.0, 0.5], samples=rows,
             mode=("Run", 3), key=b"1234")
expected = encode(codec.compile(TEXT), state)
for name in ("ready", "schema", "encode", "decode"):
    sys.modules.pop("edgeckpt.codec." + name, None)
class Fields:
    def __init__(self, fields):
        for name in fields:
            setattr(self, name, fields[name])
if FORM == "columns":
    state["samples"] = Fields(dict(ts=array("Q", [s["ts"] for s in rows]),
        ch=array("B", [s["ch"] for s in rows]), value=array("i", [s["value"] for s in rows])))
elif FORM == "attributes":
    state["samples"] = [Fields(s) for s in rows]
if FORM != "dict":
    state = Fields(state)
import compiled
c = codec.compile(compiled.TEXT, like=state)
assert c._encode is compiled.encode
assert encode(c, state) == expected
assert c.decode(expected, len(expected))["epoch"] == 0xFFFFFFFF
for name in ("ready", "schema", "encode", "decode"):
    assert "edgeckpt.codec." + name not in sys.modules, name
assert "edgeckpt.compiler" not in sys.modules
print("ok")
"""


@pytest.mark.parametrize("form", ["attributes", "dict", "columns"])
@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_compiled(request: pytest.FixtureRequest, tmp_path: Path, on: str, form: str) -> None:
    write_module(
        TEXT,
        tmp_path / "compiled.py",
        form="dict" if form == "dict" else "attributes",
        columns=form == "columns",
    )
    script = tmp_path / "use.py"
    script.write_text(PROGRAM.format(form=form, text=TEXT))
    result = subprocess.run(
        [*request.getfixturevalue(on), str(script)],
        env=dict(os.environ, MICROPYPATH=f"{FIRMWARE}:{HERE / 'device'}:{tmp_path}"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0 and "ok" in result.stdout, result.stdout + result.stderr
