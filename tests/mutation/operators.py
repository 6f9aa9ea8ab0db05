"""What may be changed in a tree, each time as a node and the text that stands there instead."""

import ast
from collections.abc import Iterator

Change = tuple[ast.expr | ast.stmt, str]

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
}
# Said of what is decided already: its opposite is another mutant.
_DECIDED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


def changes(tree: ast.Module, source: str) -> Iterator[Change]:
    """All that may be changed, from the top to the bottom."""
    for node in _looked_at(tree):
        yield from _of(node, source)


def _looked_at(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not _is_passed_over(node, child):
            yield from _looked_at(child)


def _is_passed_over(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(child, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return True
    if isinstance(child, ast.keyword) and child.arg == "strict":
        return True
    annotation = child in (getattr(parent, "annotation", None), getattr(parent, "returns", None))
    decorator = child in getattr(parent, "decorator_list", ())
    subscript = isinstance(parent, ast.Subscript) and parent.value is child
    # What a type is made of says nothing at run time.
    type_made = isinstance(child, ast.Assign) and _is_type(child)
    return annotation or decorator or subscript or type_made


def _is_type(assignment: ast.Assign) -> bool:
    (target, *_) = assignment.targets
    if isinstance(assignment.value, ast.Call):
        return isinstance(assignment.value.func, ast.Name) and assignment.value.func.id == "TypeVar"
    return isinstance(target, ast.Name) and target.id.lstrip("_")[:1].isupper() and not target.id.isupper()


def _of(node: ast.AST, source: str) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[operator]):
            yield node, f"{_text(node.left)} {_COMPARISONS[type(operator)]} {_text(node.comparators[0])}"
        case ast.Compare():
            yield from _chained(node)
        case ast.BoolOp(op=ast.And()):
            yield node, " or ".join(map(_text, node.values))
        case ast.BoolOp():
            yield node, " and ".join(map(_text, node.values))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, _text(node.operand)
        case ast.BinOp(op=ast.BitOr()):
            yield node, _text(node.left)
            yield node, _text(node.right)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield node, f"{_text(node.left)} {_ARITHMETIC[type(node.op)]} {_text(node.right)}"
        case ast.Constant():
            yield from ((node, text) for text in _constant(node.value))
        case ast.Call(func=ast.Name(id="suppress")):
            yield node, "suppress()"
        case ast.comprehension():
            yield from (_negated(test) for test in node.ifs if not _is_decided(test))
        case ast.ExceptHandler(type=ast.expr() as caught):
            yield from _caught(caught)
        case ast.stmt():
            yield from _statement(node)
        case ast.IfExp() if not _is_decided(node.test):
            yield _negated(node.test)


def _statement(node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.If() | ast.While() if not _is_decided(node.test):
            yield _negated(node.test)
        case ast.Expr(value=ast.Constant()):
            pass
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Delete():
            yield node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield node, "pass"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield node, "return None"
        case ast.Continue():
            yield node, "break"
        case ast.Break():
            yield node, "continue"


def _chained(node: ast.Compare) -> Iterator[Change]:
    for place, operator in enumerate(node.ops):
        parts = [_text(node.left)]
        for other, (each, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            kept = (
                ast.unparse(ast.Compare(ast.Name("a"), [each], [ast.Name("b")])).removeprefix("a ").removesuffix(" b")
            )
            parts += [_COMPARISONS[type(operator)] if other == place else kept, _text(right)]
        yield node, " ".join(parts)


def _caught(caught: ast.expr) -> Iterator[Change]:
    if isinstance(caught, ast.Tuple):
        for left_out in caught.elts:
            yield caught, ", ".join(_text(each) for each in caught.elts if each is not left_out) + ","
    elif isinstance(caught, ast.Name) and caught.id == "BaseException":
        yield caught, "Exception"
    else:
        yield caught, ""


def _constant(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int | float):
        yield repr(value + 1)
    elif isinstance(value, str) and " " not in value:
        yield repr(f"{value}x")
    elif isinstance(value, bytes):
        yield repr(value + b"x")


def _negated(test: ast.expr) -> Change:
    return test, f"not {_text(test)}"


def _is_decided(test: ast.expr) -> bool:
    """Whether the opposite of a condition is a mutant by its own operator, or it is a constant."""
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], _DECIDED)
    return isinstance(test, ast.Constant) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _text(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if isinstance(node, ast.Name | ast.Constant | ast.Attribute | ast.Call | ast.Subscript) else f"({text})"
