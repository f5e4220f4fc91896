"""Schema text -> tree (docs/format.md, "Schema text"). Knows types, no values.

Promises: a text either parses to one tree, whose `text()` is canonical (no white space, parses
to the same tree), or raises SchemaError that points at the character. Depth is bounded.

    type   = scalar | "()" | "Option<" type ">" | "Vec<" type ">" | "Map<" type "," type ">"
           | "[" type ";" count "]" | "(" type {"," type} ")" | "(" type ",)" | struct | enum
    struct = "{" [name ":" type {"," name ":" type}] "}"
    enum   = "enum{" variant {"," variant} "}"
    variant = name | name "(" [type {"," type}] ")" | name struct
    scalar = bool | u8..u128 | i8..i128 | f32 | f64 | char | str | bytes
           | u16le..u128le, u16be.., i16le.., i16be.. (postcard's fixint, fixed width)
"""

from ..errors import SchemaError
from ..port import const
from .tree import INTS, Node

MAX_DEPTH = const(32)  # types within types
_MAX_COUNT = const(0x3FFFFFFF)  # of [T;N]
_SCALARS = ("bool", "f32", "f64", "char", "str", "bytes")


# Not isalpha() and isdigit(): CPython's take all of Unicode, MicroPython's ASCII.
_DIGITS = "0123456789"
_LETTERS = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# Rust's names, and others', for what has another one here.
_HINTS = {"String": "str", "usize": "u64", "isize": "i64", "float": "f32", "double": "f64"}
_HINTS.update({"HashMap": "Map<K,V>", "BTreeMap": "Map<K,V>", "unit": "()", "Enum": "enum{..}"})
_HINTS.update({"int": "i32", "uint": "u32", "string": "str", "list": "Vec<T>", "dict": "Map<K,V>"})
_HINTS.update({"Result": "enum{Ok(T),Err(E)}", "Box": "the type in it", "struct": "{a:T,b:U}"})
_HINTS.update({"vec": "Vec<T>", "option": "Option<T>", "map": "Map<K,V>", "boolean": "bool"})


class _Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def fail(self, want):
        near = self.text[self.at : self.at + 12]
        raise SchemaError(
            "schema-text", "character %d" % self.at, near or "the end of the text", want
        )

    def peek(self):
        t = self.text
        while self.at < len(t) and t[self.at] in " \t\r\n":
            self.at += 1
        return t[self.at] if self.at < len(t) else ""

    def take(self, c):
        if self.peek() != c:
            return False
        self.at += 1
        return True

    def need(self, c):
        if not self.take(c):
            self.fail("'%s'" % c)

    def word(self, what):
        self.peek()
        start = self.at
        t = self.text
        while self.at < len(t) and (t[self.at] in _LETTERS or t[self.at] in _DIGITS):
            self.at += 1
        if start == self.at or t[start] in _DIGITS:
            self.at = start
            self.fail(what)
        return t[start : self.at]

    def number(self):
        self.peek()
        start = self.at
        t = self.text
        while self.at < len(t) and t[self.at] in _DIGITS:
            self.at += 1
        if start == self.at or self.at - start > 10 or int(t[start : self.at]) > _MAX_COUNT:
            self.at = start
            self.fail("a count, 0..%d" % _MAX_COUNT)
        return int(t[start : self.at])

    def type(self, depth):
        c = self.peek()
        if depth > MAX_DEPTH:
            self.fail("at most %d types within each other" % MAX_DEPTH)
        if self.take("{"):
            return self.struct(depth)
        if self.take("("):
            return self.tuple(depth)
        if self.take("["):
            item = self.type(depth + 1)
            self.need(";")
            count = self.number()
            self.need("]")
            return Node("array", [item], count=count)
        start = self.at
        name = self.word("a type") if c else self.fail("a type")
        if name in INTS or name in _SCALARS:
            return Node(name)
        if name in ("Option", "Vec", "Map"):
            self.need("<")
            items = [self.type(depth + 1)]
            if name == "Map":
                self.need(",")
                items.append(self.type(depth + 1))
            self.need(">")
            return Node({"Option": "option", "Vec": "seq", "Map": "map"}[name], items)
        if name == "enum":
            self.need("{")
            return self.enum(depth)
        self.at = start
        self.fail(_HINTS.get(name, "a type"))

    def struct(self, depth):
        names, items = [], []
        while not self.take("}"):
            if names:
                self.need(",")
                if self.take("}"):
                    break
            self.unique(names, "a field name")
            self.need(":")
            items.append(self.type(depth + 1))
        return Node("struct", items, names)

    def unique(self, names, what):
        self.peek()
        start = self.at
        name = self.word(what)
        if name in names:
            self.at = start
            self.fail("a name not used before")
        names.append(name)

    def tuple(self, depth):
        items = []
        if self.take(")"):
            return Node("unit")
        while True:
            items.append(self.type(depth + 1))
            if self.take(")"):
                break
            self.need(",")
            if self.take(")"):
                break
        return Node("tuple", items)

    def enum(self, depth):
        names, items = [], []
        while True:
            self.unique(names, "a variant name")
            items.append(self.payload(depth + 1))
            if self.take("}"):
                return Node("enum", items, names)
            self.need(",")
            if self.take("}"):
                return Node("enum", items, names)

    def payload(self, depth):
        if self.take("{"):
            return self.struct(depth)
        if not self.take("("):
            return None
        items = []
        while not self.take(")"):
            if items:
                self.need(",")
                if self.take(")"):
                    break
            items.append(self.type(depth + 1))
        # "variant" is a tuple, or with one item that item itself (a newtype variant)
        return Node("variant", items)


def parse(text):
    """The tree of a schema text. SchemaError `schema-text` points at the character."""
    p = _Parser(text)
    node = p.type(0)
    if p.peek():
        p.fail("the end of the text")
    return node
