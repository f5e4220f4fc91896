"""Rust types and schema texts: `edgeckpt schema from-rust` and `to-rust`.

Promises: a text that comes out is what `#[derive(Serialize)]` and postcard write for the type;
whatever is not known to be (an attribute that changes the wire, an impl of one's own, a type of
another crate) is refused by name and line, never guessed. Parsing needs the extra `rust`
(tree-sitter and its Rust grammar).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from edgeckpt.codec.schema import parse
from edgeckpt.codec.tree import INTS, Node

from .errors import HostError

# serde attributes of containers, variants and fields that leave the bytes as they are.
_HARMLESS = {
    *("rename", "rename_all", "rename_all_fields", "alias", "default", "bound", "borrow"),
    *("crate", "deny_unknown_fields", "expecting", "transparent", "remote"),
}
_INTS = {"usize": "u64", "isize": "i64"}
for _n in ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "u128", "i128"):
    _INTS[_n] = _n
_SAME = {**_INTS, "bool": "bool", "char": "char", "f32": "f32", "f64": "f64", "str": "str"}
_SAME.update({"String": "str", "Duration": "{secs:u64,nanos:u32}", "ByteBuf": "bytes"})
_SAME.update({"SystemTime": "{secs_since_epoch:u64,nanos_since_epoch:u32}", "Bytes": "bytes"})
_SAME.update({"Ipv4Addr": "[u8;4]", "Ipv6Addr": "[u8;16]", "PhantomData": "()"})
_SAME["IpAddr"] = "enum{V4([u8;4]),V6([u8;16])}"
for _n, _t in _INTS.items():
    _SAME["NonZero" + _n.capitalize()] = _SAME["Atomic" + _n.capitalize()] = _t
_SAME["AtomicBool"] = "bool"
_LISTS = {"Vec", "VecDeque", "LinkedList", "HashSet", "BTreeSet", "BinaryHeap", "ArrayVec"}
_LISTS |= {"IndexSet", "SmallVec", "TinyVec", "Deque", "FnvIndexSet"}
_MAPS = {"HashMap", "BTreeMap", "IndexMap", "FnvIndexMap", "LinearMap"}
_INSIDE = {"Box", "Rc", "Arc", "Cow", "Cell", "RefCell", "Mutex", "RwLock", "Wrapping", "Reverse"}
_INSIDE |= {"Saturating", "NonZero"}
_RANGES = {"Range", "RangeInclusive"}


def _bad(where: Any, why: str) -> HostError:
    line = f"line {where.start_point[0] + 1}: " if where is not None else ""
    return HostError("schema", f"Rust, {line}{why}")


def _text(node: Any) -> str:
    return str(node.text.decode()).removeprefix("r#")


@dataclass
class _Item:
    """A type definition of the file."""

    node: Any
    attributes: list[Any]
    parameters: list[tuple[str, Any]] = field(default_factory=list)  # (name, default)


class Rust:
    """The types that the Rust `source` defines. HostError `usage` without the extra `rust`."""

    def __init__(self, source: str):
        try:
            import tree_sitter_rust
            from tree_sitter import Language, Parser
        except ImportError as e:
            raise HostError(
                "usage", f"schema from-rust: {e}", "pip install 'edgeckpt[rust]'"
            ) from None
        self._parse = Parser(Language(tree_sitter_rust.language())).parse
        self.items: dict[str, _Item] = {}
        self._constants: dict[str, Any] = {}
        self._by_hand: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}
        self._broken: list[Any] = []
        root = self._parse(source.encode()).root_node
        self._gather(root)
        self._stack: list[str] = []

    def _gather(self, node: Any) -> None:
        attributes: list[Any] = []
        for child in node.named_children:
            kind = child.type
            if kind == "attribute_item":
                attributes.append(child)
                continue
            if kind in ("struct_item", "enum_item", "type_item", "union_item"):
                self._define(child, attributes)
            elif kind == "const_item":
                self._constants[_text(child.child_by_field_name("name"))] = child
            elif kind == "use_declaration":
                for use in (x for x in _walk(child) if x.type == "use_as_clause"):
                    alias = _text(use.child_by_field_name("alias"))
                    self._aliases[alias] = _last(use.child_by_field_name("path"))
            elif kind == "mod_item" and child.child_by_field_name("body") is not None:
                self._gather(child.child_by_field_name("body"))
            elif kind == "impl_item" and child.child_by_field_name("trait") is not None:
                if _last(child.child_by_field_name("trait")) in ("Serialize", "Deserialize"):
                    name = _last(child.child_by_field_name("type"))
                    self._by_hand[name] = child
            elif kind == "ERROR":
                self._broken.append(child)
            if kind not in ("line_comment", "block_comment"):
                attributes = []

    def _define(self, node: Any, attributes: list[Any]) -> None:
        name = _text(node.child_by_field_name("name"))
        if name in self.items:
            raise _bad(node, f"a second type {name}; give a file that has one")
        item = _Item(node, attributes)
        parameters = node.child_by_field_name("type_parameters")
        for p in parameters.named_children if parameters is not None else []:
            if p.type in ("type_parameter", "const_parameter"):
                default = p.child_by_field_name("default_type") or p.child_by_field_name("value")
                item.parameters.append((_text(p.child_by_field_name("name")), default))
            elif p.type == "optional_type_parameter":
                default = p.child_by_field_name("default_type")
                item.parameters.append((_text(p.child_by_field_name("name")), default))
            elif p.type == "type_identifier":
                item.parameters.append((_text(p), None))
        self.items[name] = item

    def schema(self, wanted: str | None = None) -> str:
        """The schema text of the type `wanted`, which may have arguments (`Frame<u8>`); without,
        of the one serialized type that no other holds. HostError `schema`."""
        if self._broken:
            raise _bad(self._broken[0], "this is no Rust that the parser reads")
        if wanted is None:
            wanted = self._top()
        root = self._parse(f"type T = {wanted};".encode()).root_node
        node = root.named_children[0] if root.named_children else None
        if node is None or root.has_error:
            raise HostError("schema", f"Rust: {wanted!r} is no type")
        text = self._type(node.child_by_field_name("type"), {})
        return str(parse(text).text())

    def _top(self) -> str:
        names = [n for n, i in self.items.items() if _derives(i)]
        held = {
            _text(x)
            for n in names
            for x in _walk(self.items[n].node)
            if x.type == "type_identifier" and x.parent.type not in ("struct_item", "enum_item")
        }
        top = [n for n in names if n not in held]
        if len(top) != 1:
            told = ", ".join(top or names or self.items) or "none"
            raise HostError("schema", f"Rust: which type? The file has {told}")
        return top[0]

    # A type

    def _type(self, node: Any, known: dict[str, str]) -> str:
        kind = node.type
        if kind == "primitive_type":
            if _text(node) not in _SAME:
                raise _bad(node, f"{_text(node)} has no schema")
            return _SAME[_text(node)]
        if kind == "unit_type":
            return "()"
        if kind == "tuple_type":
            parts = [self._type(n, known) for n in node.named_children]
            return f"({','.join(parts)}{',' if len(parts) == 1 else ''})"
        if kind == "reference_type":
            return self._type(node.child_by_field_name("type"), known)
        if kind == "array_type":
            item = self._type(node.child_by_field_name("element"), known)
            length = node.child_by_field_name("length")
            if length is None:  # a slice
                return f"Vec<{item}>"
            return f"[{item};{self._number(length, known)}]"
        if kind in ("type_identifier", "scoped_type_identifier"):
            return self._named(node, _last(node), [], known)
        if kind == "generic_type":
            arguments = node.child_by_field_name("type_arguments").named_children
            given = [n for n in arguments if n.type != "lifetime"]
            return self._named(node, _last(node.child_by_field_name("type")), given, known)
        raise _bad(node, f"{node.text.decode()}: a {kind.replace('_', ' ')} is not serialized")

    def _named(self, node: Any, name: str, given: list[Any], known: dict[str, str]) -> str:
        if name in known and not given:
            return known[name]
        name = self._aliases.get(name, name)
        if name in self.items:
            return self._defined(node, name, given, known)
        if name == "String":
            return "str"  # heapless' has its capacity as an argument
        if name in _SAME:
            return _SAME[name]
        if name == "Option" and len(given) == 1:
            return f"Option<{self._type(given[0], known)}>"
        if name in _LISTS and given:
            if name in ("SmallVec", "TinyVec"):
                given = [given[0].child_by_field_name("element") or given[0]]
            return f"Vec<{self._type(given[0], known)}>"
        if name in _MAPS and len(given) >= 2:
            return f"Map<{self._type(given[0], known)},{self._type(given[1], known)}>"
        if name in _INSIDE and given:
            return self._type(given[0], known)
        if name in _RANGES and len(given) == 1:
            item = self._type(given[0], known)
            return f"{{start:{item},end:{item}}}"
        if name == "Result" and len(given) == 2:
            return f"enum{{Ok({self._type(given[0], known)}),Err({self._type(given[1], known)})}}"
        raise _bad(node, f"{name}: not defined in this file, and no type that is known")

    def _defined(self, node: Any, name: str, given: list[Any], known: dict[str, str]) -> str:
        item = self.items[name]
        if name in self._by_hand:
            raise _bad(self._by_hand[name], f"{name}: an impl of its own decides what is written")
        if name in self._stack:
            raise _bad(node, f"{name} is within itself; a schema has an end")
        mine: dict[str, str] = {}
        for i, (parameter, default) in enumerate(item.parameters):
            if i >= len(given) and default is None:
                raise _bad(node, f"{name}: which {parameter}? Name the type as {name}<..>")
            value = given[i] if i < len(given) else default
            scope = known if i < len(given) else mine
            mine[parameter] = self._argument(value, scope)
        self._stack.append(name)
        try:
            return self._body(item, mine)
        finally:
            self._stack.pop()

    def _argument(self, node: Any, known: dict[str, str]) -> str:
        # A type, or the number of a const parameter
        if node.type in ("integer_literal", "block", "binary_expression", "identifier"):
            return str(self._number(node, known))
        if node.type == "type_identifier" and _text(node) in self._constants:
            return str(self._number(node, known))
        return self._type(node, known)

    def _body(self, item: _Item, known: dict[str, str]) -> str:
        node = item.node
        if node.type == "type_item":
            return self._type(node.child_by_field_name("type"), known)
        if node.type == "union_item":
            raise _bad(node, "a union is not serialized")
        _attributes(item.attributes)
        body = node.child_by_field_name("body")
        if node.type == "enum_item":
            return self._enum(body, known)
        if body is None:
            return "()"
        fields = self._fields(body, known)
        if body.type == "ordered_field_declaration_list":
            return _tuple(fields)
        if any("transparent" in _serde(a) for a in item.attributes) and len(fields) == 1:
            return fields[0].partition(":")[2]
        return f"{{{','.join(fields)}}}"

    def _fields(self, body: Any, known: dict[str, str]) -> list[str]:
        # "name:type" each, or the types of a tuple
        found = []
        attributes: list[Any] = []
        for child in body.named_children:
            if child.type == "attribute_item":
                attributes.append(child)
            elif child.type == "field_declaration":
                kind = self._field(child.child_by_field_name("type"), attributes, known)
                found.append(f"{_text(child.child_by_field_name('name'))}:{kind}")
                attributes = []
            elif child.type not in ("visibility_modifier", "line_comment", "block_comment"):
                found.append(self._field(child, attributes, known))
                attributes = []
        return found

    def _field(self, node: Any, attributes: list[Any], known: dict[str, str]) -> str:
        way = _attributes(attributes)
        kind = self._type(node, known)
        if way is None or way in ("BigArray", "serde_big_array::BigArray", "serde_arrays"):
            return kind
        if way == "serde_bytes":
            return "bytes"
        fixed = re.fullmatch(r"(?:::)?(?:postcard::)?fixint::(le|be)", way)
        if fixed and kind + fixed.group(1) in INTS:
            return kind + fixed.group(1)
        raise _bad(node, f"serde(with = {way!r}) decides what is written")

    def _enum(self, body: Any, known: dict[str, str]) -> str:
        found = []
        attributes: list[Any] = []
        for child in body.named_children:
            if child.type == "attribute_item":
                attributes.append(child)
            if child.type != "enum_variant":
                continue
            _attributes(attributes)
            attributes = []
            name = _text(child.child_by_field_name("name"))
            inner = child.child_by_field_name("body")
            if inner is None:
                found.append(name)
                continue
            fields = ",".join(self._fields(inner, known))
            ordered = inner.type == "ordered_field_declaration_list"
            found.append(f"{name}({fields})" if ordered else f"{name}{{{fields}}}")
        if not found:
            raise _bad(body, "an enum without variants has no value")
        return f"enum{{{','.join(found)}}}"

    def _number(self, node: Any, known: dict[str, str]) -> int:
        kind = node.type
        if kind == "integer_literal":
            return int(re.sub(r"_|[ui](?:8|16|32|64|128|size)$", "", _text(node)), 0)
        if kind in ("identifier", "type_identifier", "scoped_identifier"):
            name = _last(node)
            if name in known and known[name].isdigit():
                return int(known[name])
            if name in self._constants:
                return self._number(self._constants[name].child_by_field_name("value"), known)
        if kind in ("parenthesized_expression", "block", "type_cast_expression"):
            return self._number(node.named_children[0], known)
        if kind == "expression_statement":
            return self._number(node.named_children[0], known)
        if kind == "binary_expression":
            a, b = (self._number(node.child_by_field_name(n), known) for n in ("left", "right"))
            sign = _text(node.child_by_field_name("operator"))
            if sign in ("+", "-", "*", "<<") or sign in ("/", "%") and b:
                return {"+": a + b, "-": a - b, "*": a * b, "<<": a << b}.get(
                    sign, a // b if sign == "/" else a % b if b else 0
                )
        raise _bad(node, f"{node.text.decode()}: no number that this file tells")


def _tuple(types: list[str]) -> str:
    # A newtype is what is in it.
    if not types:
        return "()"
    return types[0] if len(types) == 1 else f"({','.join(types)})"


def _last(node: Any) -> str:
    # The last part of a path
    name = node.child_by_field_name("name")
    if node.type == "generic_type":
        return _last(node.child_by_field_name("type"))
    return _text(name if name is not None else node)


def _walk(node: Any) -> Any:
    yield node
    for child in node.named_children:
        yield from _walk(child)


def _derives(item: _Item) -> bool:
    return any(
        re.search(r"\bderive\b.*\bSerialize\b", a.text.decode(), re.S) for a in item.attributes
    )


def _serde(attribute: Any) -> dict[str, str]:
    # {word: value} of serde(..), in cfg_attr too
    found = {}
    for inside in re.findall(
        r"\bserde\s*\(((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*)\)", _text(attribute)
    ):
        for word, _, value in re.findall(
            r"(\w+)\s*(=\s*\"([^\"]*)\"|\([^()]*\))?\s*(?:,|$)", inside.strip()
        ):
            found[word] = value
    return found


def _attributes(attributes: list[Any]) -> str | None:
    """What serde(with = ..) names, or None; everything else that changes the wire is refused."""
    way = None
    for attribute in attributes:
        if re.match(r"#\s*\[\s*cfg\s*\(", _text(attribute)):
            raise _bad(attribute, "cfg(..): whether it is there depends on the build")
        for word, value in _serde(attribute).items():
            if word == "with":
                way = value
            elif word not in _HARMLESS:
                raise _bad(attribute, f"serde({word}) changes what is written")
    return way


# The way back

_WORDS = set(
    "as async await box break const continue crate dyn else enum extern false fn for if impl in "
    "let loop match mod move mut pub ref return self static struct super trait true type unsafe "
    "use where while yield abstract become do final macro override priv try typeof unsized "
    "virtual".split()
)
_NO_RAW = {"crate", "self", "super"}
_DERIVE = "#[derive(Serialize, Deserialize)]"


class _Writer:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.names: set[str] = set()
        self.uses: set[str] = set()

    def new(self, name: str) -> str:
        n = 1
        found = name
        while found in self.names:
            n += 1
            found = f"{name}{n}"
        self.names.add(found)
        return found

    def define(self, lines: list[str]) -> None:
        self.done.append("\n".join([_DERIVE, *lines]))

    def type(self, t: Node, name: str) -> str:
        """The Rust type of `t`; `name`: of a definition that it may need."""
        kind = t.kind
        if kind in INTS:
            bits, order = INTS[kind][1:]
            return self.fixed(kind, order) if order else str(kind)
        if kind == "str":
            return "String"
        if kind == "bytes":
            return "serde_bytes::ByteBuf"
        if kind == "unit":
            return "()"
        if kind == "option":
            return f"Option<{self.type(t.items[0], name)}>"
        if kind == "seq":
            return f"Vec<{self.type(t.items[0], name)}>"
        if kind == "array":
            if t.count > 32:
                return self.large(t, name)
            return f"[{self.type(t.items[0], name)}; {t.count}]"
        if kind == "map":
            self.uses.add("use std::collections::BTreeMap;")
            key, value = (self.type(i, name + n) for i, n in zip(t.items, ("Key", "Value")))
            return f"BTreeMap<{key}, {value}>"
        if kind == "tuple":
            parts = [self.type(i, f"{name}{n}") for n, i in enumerate(t.items)]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if kind == "struct":
            mine = self.new(name)
            self.define([f"pub struct {mine} {{", *self.fields(t, mine, "    pub "), "}"])
            return mine
        if kind == "enum":
            mine = self.new(name)
            self.define([f"pub enum {mine} {{", *self.variants(t, mine), "}"])
            return mine
        return str(kind)

    def fixed(self, kind: str, order: str) -> str:
        name = kind.upper()
        if name not in self.names:
            self.names.add(name)
            plain = kind.removesuffix(order)
            way = f'#[serde(with = "postcard::fixint::{order}")]'
            self.define([f"pub struct {name}({way} pub {plain});"])
        return name

    def large(self, t: Node, name: str) -> str:
        mine = self.new(f"{name}Array")
        item = self.type(t.items[0], name)
        way = '#[serde(with = "serde_big_array::BigArray")]'
        self.define([f"pub struct {mine}({way} pub [{item}; {t.count}]);"])
        return mine

    def fields(self, t: Node, name: str, head: str) -> list[str]:
        lines = []
        for field_name, item in zip(t.names, t.items):
            if field_name in _NO_RAW or not field_name.strip("_"):
                raise HostError("schema", f"schema to-rust: {field_name!r} is no name in Rust")
            raw = "r#" if field_name in _WORDS else ""
            lines.append(f"{head}{raw}{field_name}: {self.type(item, name + _camel(field_name))},")
        return lines

    def variants(self, t: Node, name: str) -> list[str]:
        lines = []
        for variant, item in zip(t.names, t.items):
            if variant in _WORDS or variant in ("Self", "_"):
                raise HostError("schema", f"schema to-rust: {variant!r} is no name in Rust")
            if item is None:
                lines.append(f"    {variant},")
            elif item.kind == "struct":
                inner = self.fields(item, name + variant, "        ")
                lines += [f"    {variant} {{", *inner, "    },"]
            else:
                parts = [self.type(i, f"{name}{variant}{n}") for n, i in enumerate(item.items)]
                lines.append(f"    {variant}({', '.join(parts)}),")
        return lines


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def to_rust(text: str, name: str = "State") -> str:
    """Rust source of a type `name` that postcard writes as the schema `text` says."""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
        raise HostError("usage", f"schema to-rust: {name!r}: expected a name like State")
    tree = parse(text)
    writer = _Writer()
    if tree.kind in ("struct", "enum"):
        writer.type(tree, name)
    else:
        writer.names.add(name)
        writer.define([f"pub struct {name}(pub {writer.type(tree, name + 'Item')});"])
    uses = "\n".join(["use serde::{Deserialize, Serialize};", *sorted(writer.uses)])
    return "\n\n".join([uses, *writer.done]) + "\n"
