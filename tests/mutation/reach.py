"""By which lines a test has to come to see a change."""

import ast

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def lines_of(tree: ast.Module, node: ast.expr | ast.stmt) -> frozenset[int]:
    """Those of the statement that is changed; of a constant or a default those where it is used."""
    path = _path(tree, node)
    statement = next(each for each in reversed(path) if isinstance(each, ast.stmt))
    if isinstance(statement, _FUNCTION):  # a default
        return frozenset(range(statement.body[0].lineno, _end(statement) + 1))
    if any(_is_cached(each) for each in path):  # only the first test passes by
        return frozenset()
    if any(isinstance(each, _FUNCTION) for each in path):
        return frozenset(range(statement.lineno, _end(_head(statement)) + 1))
    if any(isinstance(each, ast.ClassDef) for each in path):  # an attribute, or a field of a record
        return frozenset()
    lambdas = (
        frozenset(range(node.lineno, _end(node) + 1)) if any(isinstance(each, ast.Lambda) for each in path) else ()
    )
    return frozenset(lambdas or _uses(tree, _names(statement)))


def _is_cached(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "cache" for each in getattr(node, "decorator_list", ()))


def _path(tree: ast.AST, node: ast.AST) -> list[ast.AST]:
    """From the root to a node."""
    for child in ast.iter_child_nodes(tree):
        if child is node:
            return [tree, child]
        if found := _path(child, node):
            return [tree, *found]
    return []


def _head(statement: ast.stmt) -> ast.AST:
    """Of a compound statement what stands before its body."""
    match statement:
        case ast.If() | ast.While():
            return statement.test
        case ast.For() | ast.AsyncFor():
            return statement.iter
        case ast.With() | ast.AsyncWith():
            return statement.items[-1].context_expr
        case ast.Try():
            return statement.handlers[-1].body[-1] if statement.handlers else statement.body[-1]
        case ast.Match():
            return statement.cases[-1].body[-1]
    return statement


def _names(statement: ast.stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", statement)]
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _uses(tree: ast.Module, names: set[str]) -> set[int]:
    return {
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in names)
    }


def _end(node: ast.AST) -> int:
    end = getattr(node, "end_lineno", None)
    assert isinstance(end, int), "it comes from a parser"
    return end
