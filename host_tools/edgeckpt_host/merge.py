"""The packages of the module, cut from its folders, and each of them merged into few files.

Promises: which file belongs to which package follows from the folders and the imports alone. A
merged file holds its modules as they are, in the order of their imports; where two of them would
share a name, or a name cannot be told apart, ValueError says which: nothing is guessed.

A board that imports one file instead of twelve starts faster and holds less: names, constants and
functions are shared. The modules that went into a file stay importable by their names.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = "edgeckpt"
DRIVERS = "drivers"
# Implementations of one set of functions: which one serves, by processor; see loops.py.
THUMB, VIPER, PLAIN = "_thumb", "_viper", "_plain"


@dataclass(frozen=True)
class Package:
    """Files that a board gets together: `modules`, relative to firmware/ without suffix."""

    name: str
    modules: tuple[str, ...]
    requires: tuple[str, ...] = ()


class Sources:
    """The modules below `firmware`, parsed. `modules`: names such as edgeckpt/drivers/spinor."""

    def __init__(self, firmware: Path):
        self.firmware = firmware
        self.trees: dict[str, ast.Module] = {}
        self._imports: dict[str, tuple[list[tuple[str, str]], ...]] = {}
        for path in sorted((firmware / ROOT).rglob("*.py")):
            if "__pycache__" not in path.parts:
                name = path.relative_to(firmware).with_suffix("").as_posix()
                self.trees[name] = ast.parse(path.read_text(), str(path))
        if f"{ROOT}/__init__" not in self.trees:
            raise ValueError(f"{firmware}: no {ROOT}/__init__.py there")

    def text(self, module: str) -> str:
        return (self.firmware / f"{module}.py").read_text()

    def find(self, importer: str, level: int, dotted: str) -> str | None:
        """The module that `from <level dots><dotted>` names in `importer`, if it is one here."""
        if level == 0:
            path = dotted.split(".") if dotted else []
            if path[:1] != [ROOT]:
                return None
        else:
            path = importer.split("/")[: -1 or None]
            path = path[: len(path) - level + 1] + (dotted.split(".") if dotted else [])
        name = "/".join(path)
        return name if name in self.trees else _existing(self.trees, f"{name}/__init__")

    def imports(self, module: str, nested: bool) -> list[tuple[str, str]]:
        """(module imported, name of it or '' for the module itself) of a module's own import
        statements: those at its top, or (nested) those within its functions."""
        if module not in self._imports:
            at_top = {id(s) for s in _top(self.trees[module].body)}
            found: tuple[list[tuple[str, str]], ...] = ([], [])
            for node in ast.walk(self.trees[module]):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    found[id(node) not in at_top].extend(self._named(module, node))
            self._imports[module] = found
        return self._imports[module][nested]

    def _named(self, module: str, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        level, base = (0, "") if isinstance(node, ast.Import) else (node.level, node.module or "")
        for a in node.names:
            inner = self.find(module, level, f"{base}.{a.name}".strip("."))
            outer = self.find(module, level, base) if isinstance(node, ast.ImportFrom) else None
            if inner:
                yield inner, ""
            elif outer:
                yield outer, a.name

    def needs(self, module: str, nested: bool = True) -> set[str]:
        """The modules that a module imports itself."""
        found = {name for name, _ in self.imports(module, False)}
        if nested:
            found |= {name for name, _ in self.imports(module, True)}
        return found - {module}

    def closure(
        self, roots: Iterable[str], within: Iterable[str], nested: bool = True
    ) -> set[str]:
        """`roots` and all that they import, of the modules `within`."""
        allowed, done, todo = set(within), set(), list(roots)
        while todo:
            module = todo.pop()
            if module not in done:
                done.add(module)
                todo += self.needs(module, nested) & allowed
        return done


def _existing(names: Iterable[str], name: str) -> str | None:
    return name if name in names else None


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    # Statements that run at the import, those within `if` and `try` included.
    for s in body:
        yield s
        for block in ("body", "orelse", "finalbody", "handlers"):
            inner = getattr(s, block, None)
            if inner and not isinstance(s, (ast.FunctionDef, ast.ClassDef)):
                for part in inner:
                    if isinstance(part, ast.ExceptHandler):
                        yield from _top(part.body)
                    else:
                        yield from _top([part])


def packages(sources: Sources) -> list[Package]:
    """core: what edgeckpt/__init__ leads to in its own folder. A folder is a package, but for
    drivers/, where each module that no other one there imports is one, with what it imports.
    What is left in the first folder is led to by modules that nothing imports: a package each."""
    top = [m for m in sources.trees if m.count("/") == 1]
    core = sources.closure([f"{ROOT}/__init__"], top)
    core |= {m for m in sources.trees if m == f"{ROOT}/{DRIVERS}/__init__"}
    found = [Package("core", tuple(sorted(core)))]
    rest = set(top) - core
    needed = set().union(*(sources.needs(m) for m in rest)) if rest else set()
    for root in sorted(rest - needed):
        mine = sources.closure([root], rest)
        found.append(Package(root.split("/")[-1], tuple(sorted(mine)), ("core",)))
    for folder in sorted({m.split("/")[1] for m in sources.trees if m.count("/") > 1} - {DRIVERS}):
        mine = {m for m in sources.trees if m.startswith(f"{ROOT}/{folder}/")}
        found.append(Package(folder, tuple(sorted(mine)), ("core",)))
    drivers = {m for m in sources.trees if m.startswith(f"{ROOT}/{DRIVERS}/")}
    drivers -= {f"{ROOT}/{DRIVERS}/__init__"}
    needed = set().union(*(sources.needs(m) for m in drivers)) if drivers else set()
    for root in sorted(drivers - needed):
        mine = sources.closure([root], drivers)
        found.append(Package(root.split("/")[-1], tuple(sorted(mine)), ("core",)))
    missing = set(sources.trees) - {m for p in found for m in p.modules}
    if missing:
        raise ValueError(f"in no package: {', '.join(sorted(missing))}")
    everything = tuple(p.name for p in found)
    return [*found, Package("all", (), everything)]


def files(sources: Sources, package: Package, kind: str) -> dict[str, str]:
    """{file without suffix: source} of a package, merged; kind: THUMB, VIPER or PLAIN.

    The package's __init__ and all that it imports at its top are one file, which is there before
    any other module of it is. Of the others, one is in the file of another if nothing but that
    file imports it, and does so at its top; else it is a file of its own."""
    chosen = [m for m in package.modules if m.endswith((THUMB, VIPER, PLAIN))]
    mine = [m for m in package.modules if m not in chosen]
    theirs = set().union(*(sources.needs(m) for m in chosen)) if chosen else set()
    mine = [m for m in mine if m not in theirs or any(m in sources.needs(n) for n in mine)]
    units: dict[str, set[str]] = {}
    for root in [m for m in mine if m.endswith("/__init__")]:
        units[root] = sources.closure([root], set(mine), nested=False)
    within = set().union(*units.values()) if units else set()
    units |= {m: {m} for m in mine if m not in within}
    while True:
        absorbed = next(_absorbed(sources, units), None)
        if absorbed is None:
            break
        lead, inner = absorbed
        units[lead] |= units.pop(inner)
    # What a program imports comes first, then what that loads on demand.
    loaded = {n for m in mine for n in sources.needs(m)}
    order = sorted(units, key=lambda m: (not m.endswith("/__init__"), m in loaded, m))
    texts = {lead: merge(sources, lead, units[lead], kind) for lead in order}
    return {lead: text for lead, text in texts.items() if text.strip()}


def _absorbed(sources: Sources, units: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    # (a file, another that belongs into it), of files that are led by these modules.
    for inner in units:
        if inner.endswith("/__init__"):
            continue
        importers = {m for m in sources.trees if inner in sources.needs(m)}
        for lead, unit in units.items():
            at_top = any(inner in sources.needs(m, nested=False) for m in unit)
            if lead != inner and at_top and importers <= unit:
                yield lead, inner


def frozen(name: str, loops: str) -> str:
    """A folder of this repository's build/ with the merged sources of a package, for the
    manifests in packages/, which are run by the Python of a firmware's build."""
    root = Path(__file__).resolve().parents[2]
    sources = Sources(root / "firmware")
    package = next(p for p in packages(sources) if p.name == name)
    out = root / "build" / "frozen" / loops / name
    wanted = {out / f"{m}.py": t for m, t in files(sources, package, f"_{loops}").items()}
    for path in out.rglob("*.py"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        # What is as it was keeps its time: the build compiles what is new.
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return str(out)


def merge(sources: Sources, root: str, unit: set[str], kind: str) -> str:
    """The source of one file that holds the modules of `unit` under the name of `root`."""
    body: list[ast.stmt] = []
    owners: dict[str, str] = {}
    texts: dict[str, str] = {}
    seen: set[str] = set()
    for module in _ordered(sources, root, unit):
        part = _Part(sources, module, unit, kind, root).statements()
        part = _own_names(part, module, owners, texts)
        for s in part:
            text = ast.unparse(s)
            for name in _bound(s):
                if texts.setdefault(name, text) != text and owners[name] != module:
                    raise ValueError(
                        f"{name}: in {owners[name]} and in {module}, one file of {root}"
                    )
                owners.setdefault(name, module)
            if not _bound(s) or text not in seen:
                body.append(s)
            seen.add(text)
    body = _imports_first([*_aliases(sources, root, unit, set(owners)), *body])
    tree = ast.fix_missing_locations(ast.Module(body, []))
    return ast.unparse(tree) + "\n"


def _own_names(
    part: list[ast.stmt], module: str, owners: dict[str, str], texts: dict[str, str]
) -> list[ast.stmt]:
    # Private names that another module of the file has for something else get one of their own.
    new = {}
    for s in part:
        for name in _bound(s):
            if name[0] == "_" and texts.get(name, ast.unparse(s)) != ast.unparse(s):
                new[name] = f"_{module.split('/')[-1]}{name}"
    if not new:
        return part
    tree = ast.Module(part, [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in new:
            node.id = new[node.id]
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in new:
            node.name = new[node.name]
        elif isinstance(node, ast.arg) and node.arg in new:
            raise ValueError(f"{module}: {node.arg}: a name of the module, and an argument")
    return tree.body


def _imports_first(body: list[ast.stmt]) -> list[ast.stmt]:
    # One statement for each module that names are imported from.
    grouped: dict[tuple[str | None, int], ast.ImportFrom] = {}
    plain: list[ast.stmt] = []
    rest: list[ast.stmt] = []
    for s in body:
        if isinstance(s, ast.ImportFrom):
            first = grouped.setdefault((s.module, s.level), ast.ImportFrom(s.module, [], s.level))
            first.names += s.names
        elif isinstance(s, ast.Import):
            plain.append(s)
        else:
            rest.append(s)
    return [*plain, *grouped.values(), *rest]


def _ordered(sources: Sources, root: str, unit: set[str]) -> list[str]:
    order: list[str] = []
    under_way: list[str] = []

    def visit(module: str) -> None:
        if module in order:
            return
        if module in under_way:
            raise ValueError(f"a circle of imports: {' -> '.join([*under_way, module])}")
        under_way.append(module)
        for needed in sorted(sources.needs(module, nested=False) & unit):
            visit(needed)
        under_way.pop()
        order.append(module)

    visit(root)
    return order


def _aliases(sources: Sources, root: str, unit: set[str], names: set[str]) -> list[ast.stmt]:
    # Modules of the file that others import by name: they find the file under that name.
    inside = {m for m in unit if m != root}
    others = {m for m in sources.trees if m not in unit and not m.endswith((THUMB, VIPER))}
    used = set().union(*(sources.needs(m) for m in others)) & inside if others else set()
    if root == f"{ROOT}/__init__":
        used |= inside & {f"{ROOT}/lease", f"{ROOT}/errors", f"{ROOT}/header"}  # docs/api.md
    if not used:
        return []
    short = sorted(m.split("/")[-1] for m in used)
    for m in others:
        for name, what in [*sources.imports(m, False), *sources.imports(m, True)]:
            last = name.split("/")[-1]
            if name in inside and not what and last in names:
                raise ValueError(f"{last}: a module of {root} and a name in it; {m} imports it")
    dotted = root.removesuffix("/__init__").replace("/", ".")
    base = dotted if root.endswith("/__init__") else dotted.rpartition(".")[0]
    attributes = [n for n in short if n not in names]
    lines = ["import sys", f"_it = sys.modules[{dotted!r}]", f"for _n in {tuple(short)!r}:"]
    lines.append(f"    sys.modules[{base + '.'!r} + _n] = _it")
    if attributes and root.endswith("/__init__"):
        lines.append(" = ".join([*attributes, "_it"]))
    return ast.parse("\n".join(lines)).body


class _Part(ast.NodeTransformer):
    """One module on its way into a merged file."""

    def __init__(self, sources: Sources, module: str, unit: set[str], kind: str, root: str):
        self.sources, self.module, self.unit, self.kind = sources, module, unit, kind
        self.is_root = module == root
        self.gone: dict[str, str] = {}  # local names of modules that are in this file

    def statements(self) -> list[ast.stmt]:
        chosen = _chooser(self.sources.trees[self.module])
        if chosen is not None:
            return self._implementation(chosen)
        tree = ast.parse(self.sources.text(self.module))
        self._find_gone(tree)
        self._check_shadows(tree)
        done = self.visit(tree)
        assert isinstance(done, ast.Module)
        return done.body

    def _implementation(self, names: list[str]) -> list[ast.stmt]:
        # The functions of a set of loops, of the fastest implementation for the processor.
        base = self.module
        for kind in (THUMB, VIPER, PLAIN)[(THUMB, VIPER, PLAIN).index(self.kind) :]:
            if base + kind in self.sources.trees:
                return _taken(self.sources, base + kind, names)
        raise ValueError(f"{base}: no implementation {self.kind}")

    def _find_gone(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                for a in node.names:
                    inner = ".".join(filter(None, (node.module or "", a.name)))
                    found = self.sources.find(self.module, node.level, inner)
                    if found in self.unit:
                        self.gone[a.asname or a.name] = found or ""

    def _check_shadows(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                inside = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
                inside |= set().union(*(_stored(s) for s in ast.walk(node)))
                for name in sorted(inside & set(self.gone)):
                    raise ValueError(
                        f"{self.module}, line {node.lineno}: {name} is a module of the same file"
                        " and a local name"
                    )

    def visit_Module(self, node: ast.Module) -> ast.Module:
        body: list[ast.stmt] = []
        for s in _without_text(node.body):
            if isinstance(s, ast.Assign) and _bound(s) == {"__all__"} and not self.is_root:
                continue
            if isinstance(s, ast.If) and _on_micropython(s.test) is not None:
                branch = s.body if _on_micropython(s.test) else s.orelse
                body += [t for b in branch for t in self._several(b)]
                continue
            body += self._several(s)
        node.body = body
        return node

    def _several(self, s: ast.stmt) -> list[ast.stmt]:
        done = self.visit(s)
        return done if isinstance(done, list) else [done] if done is not None else []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = _without_text(node.body) or [ast.Pass()]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.body = _without_text(node.body) or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        if not node.level:
            return [ast.ImportFrom(node.module, [a], 0) for a in node.names]
        source = self.sources.find(self.module, node.level, node.module or "")
        kept, renamed = [], []
        for a in node.names:
            if (a.asname or a.name) in self.gone:
                continue
            inner = ".".join(filter(None, (node.module or "", a.name)))
            if source in self.unit and not self.sources.find(self.module, node.level, inner):
                if a.asname:
                    renamed.append(ast.parse(f"{a.asname} = {a.name}").body[0])
                continue
            kept.append(a)
        # A statement each, so that the same name of the same module is seen to be the same.
        renamed[:0] = [ast.ImportFrom(node.module, [a], node.level) for a in kept]
        return renamed or ast.Pass()

    def visit_Pass(self, node: ast.Pass) -> ast.Pass:
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.gone:
            return ast.Name(node.attr, node.ctx)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in self.gone:
            raise ValueError(
                f"{self.module}, line {node.lineno}: the module {node.id} is used as a value"
            )
        return node


def _without_text(body: list[ast.stmt]) -> list[ast.stmt]:
    return [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def _bound(s: ast.stmt) -> set[str]:
    # Names that a statement at the top of a module defines.
    if isinstance(s, (ast.FunctionDef, ast.ClassDef)):
        return {s.name}
    if isinstance(s, (ast.Import, ast.ImportFrom)):
        return {(a.asname or a.name).split(".")[0] for a in s.names}
    return set().union(*(_stored(n) for n in ast.walk(s)))


def _stored(n: ast.AST) -> set[str]:
    return {n.id} if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) else set()


def _on_micropython(test: ast.expr) -> bool | None:
    # Whether `sys.implementation.name == "micropython"` (or !=) holds on a board; None for others.
    text = ast.unparse(test)
    if text == "sys.implementation.name == 'micropython'":
        return True
    return False if text == "sys.implementation.name != 'micropython'" else None


def _chooser(tree: ast.Module) -> list[str] | None:
    # The names that a module of nothing but a `try` of imports gives (loops.py); None for others.
    body = [s for s in _without_text(tree.body) if _bound(s) != {"__all__"}]
    if len(body) != 1 or not isinstance(body[0], ast.Try):
        return None
    return sorted(a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)
                  for a in n.names if n.module and n.module.endswith(PLAIN))  # fmt: skip


def _taken(sources: Sources, module: str, names: list[str]) -> list[ast.stmt]:
    # The statements of an implementation that define `names`, and what these need of it.
    tree = ast.parse(sources.text(module))
    defined: dict[str, ast.stmt] = {}
    foreign: dict[str, list[str]] = {}
    for s in _without_text(tree.body):
        if isinstance(s, ast.If) and _on_micropython(s.test) is False:
            continue
        if isinstance(s, ast.ImportFrom) and s.level:
            found = sources.find(module, s.level, s.module or "")
            assert found, ast.unparse(s)
            for a in s.names:
                foreign.setdefault(found, []).append(a.name)
            continue
        for name in _bound(s):
            defined[name] = s
    wanted, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name in defined and name not in wanted:
            wanted.add(name)
            todo += [n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)]
    result: list[ast.stmt] = []
    used = {n.id for w in wanted for n in ast.walk(defined[w]) if isinstance(n, ast.Name)}
    for other, theirs in foreign.items():
        needed = [n for n in theirs if n in used | set(names)]
        result += _taken(sources, other, needed) if needed else []
    for s in _without_text(tree.body):
        if any(defined.get(w) is s for w in wanted):
            for f in ast.walk(s):
                if isinstance(f, ast.FunctionDef):
                    f.body = _without_text(f.body) or [ast.Pass()]
            if not any(ast.dump(s) == ast.dump(t) for t in result):
                result.append(s)
    unknown = set(names) - wanted - {n for o in foreign.values() for n in o} - set(dir(builtins))
    if unknown:
        raise ValueError(f"{module}: no {', '.join(sorted(unknown))}")
    return result
