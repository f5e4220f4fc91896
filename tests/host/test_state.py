"""JSON of states: exact as the golden vectors, and back, in both notations."""

import json
import math
import struct
import sys
from pathlib import Path

import pytest
from edgeckpt import codec
from edgeckpt_host.errors import HostError
from edgeckpt_host.state import encode as encode_json
from edgeckpt_host.state import exact, float_text, from_json, plain

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "codec" / "device"))
from notation import same, schema_text  # noqa: E402

IMAGE_SCHEMA = (
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,"
    "samples:Vec<{ts:u64,ch:u8,value:i32}>,"
    "mode:enum{Idle,Sampling{rate_hz:u32,channels:Vec<u8>},Calibrating(u16),Fault(u32,str)},"
    "key:[u8;32]}"
)


def vectors() -> list[dict]:
    text = (TESTS / "vectors" / "postcard_vectors.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_exact_is_the_notation_of_the_vectors() -> None:
    for case in vectors():
        c = codec.compile(schema_text(case["type"]))
        data = bytes.fromhex(case["hex"])
        value = c.decode(data, len(data))
        got = exact(c.tree, value)
        assert got == case["value"], case["id"]
        assert same(from_json(c.tree, got), value), case["id"]
        assert encode_json(c.text, got) == data


def test_plain_reads_back() -> None:
    for case in vectors():
        if "NaN" in json.dumps(case["value"]):
            continue  # the plain notation has one NaN
        c = codec.compile(schema_text(case["type"]))
        data = bytes.fromhex(case["hex"])
        short = json.loads(json.dumps(plain(c.tree, c.decode(data, len(data)))))
        assert encode_json(c.text, short) == data, case["id"]


@pytest.mark.parametrize("image", sorted((TESTS / "vectors" / "images").glob("*.img")))
def test_images_decode_to_the_json_beside_them(image: Path) -> None:
    wanted = json.loads(image.with_suffix(".json").read_text())
    c = codec.compile(IMAGE_SCHEMA)
    data = bytes.fromhex(wanted["data_hex"])
    assert exact(c.tree, c.decode(data, len(data))) == wanted["state"]


def test_floats_are_spelled_as_rust_does() -> None:
    for value, text in ((1e16, "1e16"), (1e15, "1000000000000000.0"), (1e-5, "1e-5")):
        assert float_text("f64", struct.pack("<d", value)) == text
    assert float_text("f64", struct.pack("<d", 9.999e-6)) == "9.999e-6"
    assert float_text("f32", bytes.fromhex("ffff7f7f")) == "3.4028235e38"
    assert math.isnan(from_json(codec.compile("f32").tree, "NaN"))


@pytest.mark.parametrize(
    ("schema", "j", "path"),
    [
        ("{a:u8}", {}, "a"),
        ("{a:u8}", {"a": 1, "b": 2}, "b"),
        ("{a:[u16;2]}", {"a": [1]}, "a"),
        ("{a:Vec<{b:i32}>}", {"a": [{"b": 1}, {"b": "x"}]}, "a[1].b"),
        ("enum{A,B(u8)}", "C", "the state"),
        ("enum{A,B(u8)}", {"A": 1}, "A"),
        ("{a:bytes}", {"a": "0g"}, "a"),
        ("{a:f32}", {"a": "one"}, "a"),
    ],
)
def test_errors_name_the_field(schema: str, j: object, path: str) -> None:
    with pytest.raises(HostError) as caught:
        encode_json(schema, j)
    assert path in str(caught.value)
