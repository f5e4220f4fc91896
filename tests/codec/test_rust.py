"""Schema texts from Rust types and back: `edgeckpt schema from-rust`, `to-rust`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from edgeckpt import codec
from edgeckpt_host.errors import HostError
from edgeckpt_host.schema_rust import Rust, to_rust

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "device"))
from dice import Dice  # noqa: E402
from law import draw_text  # noqa: E402
from notation import encode, same, schema_text, unhex, value_of  # noqa: E402

TYPES = (HERE / "types.rs").read_text()
WANTED = re.findall(
    r"((?:^ *///.*\n)+)(?: *#\[.*\n)*^ *(?:pub )?(?:struct|enum) (\w+)", TYPES, re.MULTILINE
)
ARGUMENTS = {"Frame": "Frame<u16>", "Ring": "Ring<u16, 8>"}


@pytest.mark.parametrize("name", [name for _, name in WANTED])
def test_types_as_people_write_them(name: str) -> None:
    (comment,) = [c for c, n in WANTED if n == name]
    text = codec.compile(re.sub(r"^ *///", "", comment, flags=re.MULTILINE)).text
    assert Rust(TYPES).schema(ARGUMENTS.get(name, name)) == text


def test_there_are_enough() -> None:
    assert len(WANTED) >= 30


def test_vectors_of_the_crate_decode_by_it() -> None:
    # The type of each vector in Rust, what from-rust makes of it, and the bytes by that.
    with (HERE.parent / "vectors" / "postcard_vectors.jsonl").open() as f:
        cases = [json.loads(line) for line in f]
    for case in cases:
        text = codec.compile(schema_text(case["type"])).text
        assert Rust(to_rust(text)).schema("State") == text
        c = codec.compile(Rust(to_rust(text)).schema("State"))
        data = unhex(case["hex"])
        value = c.decode(data, len(data))
        assert same(value, value_of(c.tree, case["value"])) and encode(c, value) == data


def test_there_and_back() -> None:
    for seed in range(300):
        text = codec.compile(draw_text(Dice(seed), 4)).text
        assert Rust(to_rust(text, "Thing")).schema("Thing") == text


@pytest.mark.parametrize(
    "field, told",
    [
        ("#[serde(skip)] a: u8", "line 3: serde(skip)"),
        ('#[serde(skip_serializing_if = "Option::is_none")] a: Option<u8>', "skip_serializing_if"),
        ("#[serde(flatten)] a: Other", "serde(flatten)"),
        ('#[serde(serialize_with = "f")] a: u8', "serialize_with"),
        ('#[serde(with = "hex")] a: Vec<u8>', "'hex'"),
        ('#[serde(default, with = "humantime")] a: Vec<u8>', "'humantime'"),
        ('#[cfg(feature = "x")] a: u8', "cfg"),
        ('#[cfg_attr(feature = "serde", serde(skip))] a: u8', "serde(skip)"),
        ("a: Box<dyn Fn()>", "dyn Fn()"),
        ("a: fn(u8)", "fn(u8)"),
        ("a: Uuid", "Uuid: not defined"),
        ("a: [u8; N]", "N: no number"),
        ("a: Option<Box<A>>", "A is within itself"),
        ("a: Tagged", "serde(tag)"),
        ("a: Custom", "line 8: Custom: an impl"),
        ("a: Generic", "which T"),
        ("a: !", "never"),
    ],
)
def test_what_is_refused(field: str, told: str) -> None:
    source = f"""#[derive(Serialize)]
struct A {{
    {field},
}}
#[derive(Serialize)] struct Other {{ x: u8 }}
#[derive(Serialize)] #[serde(tag = "t")] enum Tagged {{ X }}
struct Custom(u8);
impl Serialize for Custom {{ fn serialize(&self) {{}} }}
#[derive(Serialize)] struct Generic<T>(T);
"""
    with pytest.raises(HostError) as e:
        Rust(source).schema("A")
    assert told in str(e.value)


def test_which_type() -> None:
    assert Rust("#[derive(Serialize)] struct A(B); #[derive(Serialize)] struct B(u8);").schema()
    with pytest.raises(HostError, match="which type.*A, B"):
        Rust("#[derive(Serialize)] struct A; #[derive(Serialize)] struct B;").schema()
    with pytest.raises(HostError, match="no Rust"):
        Rust("structt A { }}").schema("A")
    with pytest.raises(HostError, match="no type"):
        Rust("struct A;").schema("A<")


@pytest.mark.parametrize(
    "text, told", [("{a:String}", "expected str"), ("HashMap<u8,u8>", "expected Map<K,V>")]
)
def test_the_parser_hints(text: str, told: str) -> None:
    with pytest.raises(codec.SchemaError, match=re.escape(told)):
        codec.compile(text)
