"""The board's end of the property test: reads `schema TAB hex`, one case a line, and answers with
the hex of the value encoded again, TAB, the value as canonical text; or `error` and why."""

import sys

from edgeckpt import codec
from notation import canonical, encode, unhex


def hexed(data):
    return "".join(["%02x" % b for b in data])


while True:
    line = sys.stdin.readline()
    if not line:
        break
    text, data = line.rstrip("\n").split("\t")
    try:
        raw = unhex(data)
        c = codec.compile(text)
        value = c.decode(raw, len(raw))
        again = encode(c, value)
        like = codec.compile(text, like=value)
        assert like.compiled == (value is not None) and encode(like, value) == again, (
            "the compiled encoder differs"
        )
        assert canonical(like.decode(raw, len(raw))) == canonical(value), "the compiled decoder"
        print("%s\t%s" % (hexed(again), canonical(value)))
    except Exception as e:
        print("error\t%r" % e)
