"""The golden vectors, both ways: `vectors.py FOLDER`. Runs on MicroPython and CPython."""

import json
import sys

from edgeckpt import codec
from notation import encode, same, schema_text, unhex, value_of


def check_vector(case):
    c = codec.compile(schema_text(case["type"]))
    assert codec.compile(c.text).text == c.text
    value = value_of(c.tree, case["value"])
    data = unhex(case["hex"])
    for mark in (128, 256):
        got = encode(c, value, mark)
        assert got == data, "encoded as %r" % got
    got = c.decode(data, len(data))
    assert same(got, value), "decoded as %r" % (got,)
    assert c.tree.least <= len(data) and (c.max_size is None or len(data) <= c.max_size)


def check_case(case):
    c = codec.compile(schema_text(case["type"]))
    data = unhex(case["hex"])
    result = case["result"]
    if sys.maxsize < 1 << 32 and "result_32bit" in case:
        result = case["result_32bit"]
    rest = result.get("rest", 0)
    try:
        got = c.decode(data, len(data) - rest)
    except codec.DecodeError as e:
        assert "err" in result, "refused: %s" % e
        assert str(e) and e.offset <= len(data)
        return
    assert "ok" in result, "accepted as %r, the crate says %s" % (got, result["err"])
    assert same(got, value_of(c.tree, result["ok"])), "decoded as %r" % (got,)
    assert encode(c, got) == unhex(result["reencoded"])
    if rest:
        try:
            c.decode(data, len(data))
        except codec.DecodeError as e:
            assert e.reason == "trailing" and e.got == rest
        else:
            raise AssertionError("trailing bytes accepted")


def run(folder):
    count = bad = 0
    for name, check in (("postcard_vectors", check_vector), ("decode_cases", check_case)):
        with open("%s/%s.jsonl" % (folder, name)) as f:
            for line in f:
                case = json.loads(line)
                count += 1
                try:
                    check(case)
                except Exception as e:
                    bad += 1
                    print(name, case["id"], case.get("name", case.get("kind")), repr(e))
    assert count == 500 and not bad, "%d of %d bad" % (bad, count)
    print("ok", count)


run(sys.argv[1])
