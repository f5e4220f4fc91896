"""Random and mutated input: `fuzz.py SEED COUNT`. Only a value or a documented error comes out.

What decodes encodes again, to bytes that decode to the same value. Runs in a small heap: an
allocation on the word of a length would end in "no memory", which is no error of these inputs.
"""

import sys

from edgeckpt import codec
from edgeckpt.errors import DecodeError, SchemaError
from notation import encode, same

SCHEMAS = [
    "u8", "i8", "bool", "u16", "i32", "u64", "i64", "u128", "i128", "f32", "f64", "char", "str",
    "bytes", "()", "Option<u16>", "Option<Option<bool>>", "Vec<u8>", "Vec<()>", "Vec<Vec<()>>",
    "Vec<str>", "[u16;3]", "[u8;5]", "(u8,str,bool)", "Map<u8,str>", "Map<str,Vec<u8>>",
    "Map<(u8,bool),()>", "{a:u8,b:Option<{c:i64,d:char}>,e:Vec<{f:u32,g:f32}>}", "u32le", "i64be",
    "enum{A,B(u8),C(u8,str),D{x:u16,y:Vec<i16>}}",
    "{epoch:u32,sequence:u64,gains:[f32;8],label:Option<str>,samples:Vec<{ts:u64,ch:u8,value:i32}>,"
    "mode:enum{Idle,Sampling{rate_hz:u32,channels:Vec<u8>},Calibrating(u16),Fault(u32,str)},"
    "key:[u8;32]}",
]  # fmt: skip
ALPHABET = "{}[]()<>,:;enumVecOptionMapu8163264128fbolstrcharbytes_aA09 \n"


class Dice:
    """xorshift of 30 bits: small ints everywhere, the same numbers on every interpreter."""

    def __init__(self, seed):
        self.x = (seed * 2654435 + 97) & 0x3FFFFFFF or 1

    def below(self, n):
        x = self.x
        x ^= (x << 13) & 0x3FFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0x3FFFFFFF
        self.x = x
        return (x >> 3) % n


LENGTHS = (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\x7f", b"\x80\x80\x04", b"\xff" * 9 + b"\x01")


def mutate(dice, data):
    data = bytearray(data)
    for _ in range(1 + dice.below(3)):
        at = dice.below(len(data) + 1)
        kind = dice.below(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.below(8)
        elif kind == 1 and at < len(data):
            data[at] = dice.below(256)
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + bytes([dice.below(256)]) + data[at:]
        elif kind == 4:
            data = data[:at] + LENGTHS[dice.below(4)] + data[at + 1 :]
        else:
            data = data[:at] + data[at + 1 :]
    return bytes(data)


def run(seed, count):
    codecs = [codec.compile(text) for text in SCHEMAS]
    seeds = [[b""] for _ in SCHEMAS]
    values = errors = texts = 0
    for n in range(count):
        dice = Dice(seed + n)
        i = dice.below(len(SCHEMAS))
        c = codecs[i]
        if dice.below(3) == 0:
            data = bytes([dice.below(256) for _ in range(dice.below(40))])
        else:
            data = mutate(dice, seeds[i][dice.below(len(seeds[i]))])
        try:
            value = c.decode(data, len(data))
        except DecodeError as e:
            errors += 1
            assert 0 <= e.offset <= len(data) and "no memory" not in str(e), str(e)
        else:
            values += 1
            again = encode(c, value)
            assert same(c.decode(again, len(again)), value), (seed + n, data)
            assert encode(c, c.decode(again, len(again))) == again, (seed + n, data)
            if isinstance(value, list) and len(value) > 300:
                continue  # many items of no bytes: slow, and no better a seed
            if len(seeds[i]) < 24:
                seeds[i].append(data)
            elif dice.below(8) == 0:
                seeds[i][dice.below(24)] = data
        if n % 8 == 0:
            texts += 1
            text = SCHEMAS[dice.below(len(SCHEMAS))]
            at = dice.below(len(text) + 1)
            piece = ALPHABET[dice.below(len(ALPHABET))]
            text = (
                text[:at]
                + piece * (1 + dice.below(3) * dice.below(30))
                + text[at + dice.below(3) :]
            )
            try:
                c = codec.compile(text)
                assert codec.compile(c.text).text == c.text
            except SchemaError as e:
                assert str(e)
    print("ok", count, "values", values, "errors", errors, "texts", texts)


run(int(sys.argv[1]), int(sys.argv[2]))
