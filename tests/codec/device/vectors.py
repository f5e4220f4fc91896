"""The golden vectors, both ways: `vectors.py FOLDER`. Runs on MicroPython and CPython."""

import json
import sys

from edgeckpt import EncodeError, codec
from notation import encode, inexact, same, schema_text, unhex, value_of


def told(c, data, any):
    """Whether there are f64 that this port's floats do not hold, and decoding says so."""
    if not any:
        return False
    try:
        got = c.decode(data, len(data))
    except codec.DecodeError as e:
        assert "single precision" in str(e), e
        return True
    raise AssertionError("decoded as %r" % (got,))


def check_vector(case):
    inexact[0] = 0
    c = codec.compile(schema_text(case["type"]))
    assert codec.compile(c.text).text == c.text
    value = value_of(c.tree, case["value"])
    data = unhex(case["hex"])
    got = encode(c, value, len(data))
    assert got == data, "encoded as %r" % got
    if 0 < len(data) < 64:
        try:
            encode(c, value, len(data) - 1)
        except EncodeError as e:
            assert e.reason == "too-large" and (e.got, e.want) == (len(data), len(data) - 1), e
        else:
            raise AssertionError("encoded into too small a buffer")
    if told(c, data, inexact[0]):
        return
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
    inexact[0] = 0
    if "ok" in result:
        value = value_of(c.tree, result["ok"])
        if told(c, data, inexact[0]):
            return
    try:
        got = c.decode(data, len(data) - rest)
    except codec.DecodeError as e:
        assert "err" in result, "refused: %s" % e
        assert str(e) and e.offset <= len(data)
        return
    assert "ok" in result, "accepted as %r, the crate says %s" % (got, result["err"])
    assert same(got, value), "decoded as %r" % (got,)
    again = unhex(result["reencoded"])
    assert encode(c, got, len(again)) == again
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
