"""The tree of a schema. Knows types, neither their text nor a value.

Promises: `Node.text()` is canonical schema text: it parses to the same tree (`schema.py`).
"""

INTS = {}
for _w in (8, 16, 32, 64, 128):
    INTS["u%d" % _w] = (False, _w, "")
    INTS["i%d" % _w] = (True, _w, "")
    if _w > 8:
        for _o in ("le", "be"):
            INTS["u%d%s" % (_w, _o)] = (False, _w, _o)
            INTS["i%d%s" % (_w, _o)] = (True, _w, _o)


class Node:
    """One type. `kind`: the name of a scalar, or one of "unit" "option" "seq" "array" "tuple"
    "map" "struct" "enum"; `items`: child nodes (of an enum: payloads, None for unit variants);
    `names`: of the fields or variants; `count`: of an array."""

    def __init__(self, kind, items=(), names=(), count=0):
        self.kind = kind
        self.items = items
        self.names = names
        self.count = count

    def text(self):
        """The canonical schema text of this type."""
        k = self.kind
        if k == "unit":
            return "()"
        if k == "struct":
            return "{%s}" % ",".join(
                ["%s:%s" % (n, i.text()) for n, i in zip(self.names, self.items)]
            )
        if k == "enum":
            return "enum{%s}" % ",".join([n + _payload(i) for n, i in zip(self.names, self.items)])
        inner = ",".join([i.text() for i in self.items])  # each child once: linear in the tree
        if k == "option":
            return "Option<%s>" % inner
        if k == "seq":
            return "Vec<%s>" % inner
        if k == "map":
            return "Map<%s>" % inner
        if k == "array":
            return "[%s;%d]" % (inner, self.count)
        if k == "tuple":
            return "(%s,)" % inner if len(self.items) == 1 else "(%s)" % inner
        return k

    def nullable(self):
        """Whether None is a value of this type (so that Some of it needs a mark)."""
        return self.kind in ("option", "unit")


def _payload(node):
    if node is None:
        return ""
    if node.kind == "variant":
        return "(%s)" % ",".join([i.text() for i in node.items])
    return node.text()


def nodes(tree):
    """All nodes of a tree, each before its children."""
    found = [tree]
    for i in tree.items:
        if i is not None:
            found.extend(nodes(i))
    return found
