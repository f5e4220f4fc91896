"""What may stand for bytes: buffers of bytes as they are, other sequences number by number.

And items of no bytes: no more are written than are read back.
"""

from array import array

from edgeckpt import EncodeError, codec
from notation import encode

for text, head in (("[u8;4]", b""), ("Vec<u8>", b"\x04"), ("bytes", b"\x04")):
    c = codec.compile(text)
    wanted = head + b"\x01\x02\x03\xff"
    for typecode in "BHIQ":
        assert encode(c, array(typecode, [1, 2, 3, 255])) == wanted, (text, typecode)
    for value in (
        b"\x01\x02\x03\xff",
        bytearray(wanted[-4:]),
        memoryview(wanted[-4:]),
        [1, 2, 3, 255],
    ):
        assert encode(c, value) == wanted, (text, value)
    if hasattr(memoryview, "itemsize"):
        assert encode(c, memoryview(array("H", [1, 2, 3, 255]))) == wanted
    for bad in (array("H", [1, 2, 3, 256]), [1, 2, 3, -1], "abcd"):
        try:
            encode(c, bad)
        except EncodeError:
            pass
        else:
            raise AssertionError((text, bad))

for text, item in (("Vec<()>", None), ("Vec<{}>", {}), ("{a:u8,b:Vec<((),())>}", (None, None))):
    for count in (16384, 16385):
        value = [item] * count
        value = {"a": 1, "b": value} if text[0] == "{" else value
        for c in (codec.compile(text), codec.compile(text, like=value)):
            try:
                data = encode(c, value)
            except EncodeError as e:
                assert count == 16385 and "at most 16384" in str(e), (text, e)
            else:
                assert count == 16384 and c.decode(data, len(data)) == value, (text, data)
print("ok")
