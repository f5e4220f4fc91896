"""Schema texts that are refused, at the same character on every interpreter."""

from edgeckpt import SchemaError
from edgeckpt.codec.schema import MAX_DEPTH, parse

DEEP = "Option<" * MAX_DEPTH + "u8" + ">" * MAX_DEPTH

for text, at in (
    ("", 0),
    ("u9", 0),
    ("[u8;]", 4),
    ("[u8;\u00b2]", 4),
    ("[u8;\u0663]", 4),
    ("{\u00e9:u8}", 1),
    ("{a\u00b2:u8}", 2),
    ("{a:u8,a:u8}", 6),
    ("enum{}", 5),
    ("u8 u8", 3),
):
    try:
        parse(text)
    except SchemaError as e:
        assert e.where == "character %d" % at, (text, e.where)
    else:
        raise AssertionError(text)
assert parse(DEEP).text() == DEEP
# The text of a tree takes each type once, however deep: doubling with each level, this would
# never end.
STRUCTS = "{a:" * MAX_DEPTH + "u8" + "}" * MAX_DEPTH
assert parse(STRUCTS).text() == STRUCTS
try:
    parse("Option<" + DEEP + ">")
except SchemaError:
    print("ok")
