"""Constructors of data classes, written out.

mypyc compiles what a class says, and a data class does not say its constructor: `dataclasses` makes that as the module
is imported, so it is interpreted, and sets each field from outside. Written out in what is given to mypyc, it costs an
eighth: 0.03 µs instead of 0.24 for an object of seven fields, of which an order makes some twenty.
"""

import ast

HOT = "dataclass(slots=True)"
"""How those are marked that are made for every event. Frozen ones are mostly parts of a program, and made once."""


def written_out(source: str) -> str:
    """A module with the constructors of its data classes. Each stands in a line that was empty, so that tracebacks
    name the right lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and HOT in map(ast.unparse, node.decorator_list):
            place = _end_of_fields(node)
            lines += [""] * (place + 1 - len(lines))
            if lines[place]:
                raise ValueError(f"line {place + 1}: an empty line should follow the fields of {node.name}")
            lines[place] = _constructor(node)
    return "\n".join(lines) + "\n"


def _end_of_fields(node: ast.ClassDef) -> int:
    """How many lines the module has up to the last field of a class, with what is said of that."""
    said = [part for part in node.body if isinstance(part, ast.AnnAssign | ast.Expr)]
    return said[-1].end_lineno or 0


def _constructor(node: ast.ClassDef) -> str:
    parameters, assignments = [], []
    for part in node.body:
        if isinstance(part, ast.AnnAssign):
            parameter, assignment = _field(ast.unparse(part.target), ast.unparse(part.annotation), part.value)
            parameters.append(parameter)
            assignments.append(assignment)
        elif isinstance(part, ast.FunctionDef) and part.name == "__post_init__":
            raise ValueError(f"{node.name} does more than keep its fields: freeze it, or construct it by hand")
    return f"    def __init__(self, {', '.join(parameters)}) -> None: {'; '.join(assignments)}"


def _field(name: str, of: str, default: ast.expr | None) -> tuple[str, str]:
    """The parameter for a field, and how the field is set."""
    if default is None:
        return f"{name}: {of}", f"self.{name} = {name}"
    if not (isinstance(default, ast.Call) and ast.unparse(default.func) == "field"):
        return f"{name}: {of} = {ast.unparse(default)}", f"self.{name} = {name}"
    for option in default.keywords:
        if option.arg == "default_factory":
            return (
                f"{name}: '{of} | None' = None",
                f"self.{name} = {ast.unparse(option.value)}() if {name} is None else {name}",
            )
    raise ValueError(f"{name}: of `field`, only default_factory is known here")
