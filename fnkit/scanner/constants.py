"""Constant folding: evaluates expressions without executing code.

Supported are literals, names with known values, arithmetic, comparisons, f-strings, containers with unpacking,
subscripts, conditional expressions, and the calls that the caller evaluates. All other expressions raise
``NotConstant``. Folded containers keep their
identity, so that two names for one list remain aliases.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Value: TypeAlias = object
"""A folded value: a number, string, bytes, Boolean, ``None``, or a tuple, list, set or dictionary of those."""

_LENGTH_MAX: Final = 100_000  # of a string or container; far more than any setting needs
_BITS_MAX: Final = 4_096
_STAR_WIDTH: Final = re.compile(r"%[^a-zA-Z%]*\*")

_BINARY_OPERATORS: Final[Mapping[type[ast.operator], Callable[..., object]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY_OPERATORS: Final[Mapping[type[ast.unaryop], Callable[..., object]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[..., object]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
_CONVERSIONS: Final[Mapping[int, Callable[..., object]]] = {-1: lambda v: v, 114: repr, 115: str, 97: ascii}


class NotConstant(Exception):
    """An expression cannot be evaluated without executing code.

    Attributes:
        reason: A noun phrase that names the reason, such as ``a call of get_schedule()``.
        line: Line of the expression.
    """

    def __init__(self, node: ast.AST, what: str) -> None:
        super().__init__(what)
        self.reason = what
        self.line: int = getattr(node, "lineno", 1)


CallReader: TypeAlias = Callable[[ast.Call, Callable[[ast.expr], Value]], Value]
"""Returns the value of a call, given the fold of its arguments, or raises ``NotConstant``."""


def fold(node: ast.expr, lookup: Callable[[ast.Name], Value], read_call: CallReader | None = None) -> Value:
    """Return the value of an expression.

    Args:
        node: The expression.
        lookup: Returns the value of a name, or raises ``NotConstant``.
        read_call: Returns the value of a call; without it, no call is constant.

    Raises:
        NotConstant: The value is not constant, the evaluation fails, or the value would be too large.
    """
    try:
        return _ConstantFolder(lookup, read_call or _reject_call).fold(node)
    except NotConstant:
        raise
    except RecursionError:
        raise NotConstant(node, "an expression that is nested too deeply") from None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NotConstant(node, f"an expression that fails ({type(error).__name__}: {error})") from None


class _ConstantFolder:
    """Evaluates the nodes of an expression recursively."""

    def __init__(self, lookup: Callable[[ast.Name], Value], read_call: CallReader) -> None:
        self._lookup = lookup
        self._read_call = read_call

    def fold(self, node: ast.expr) -> Value:  # noqa: PLR0911 - one return for each kind of expression
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name():
                return self._lookup(node)
            case ast.List(elts=items):
                return self._fold_items(items)
            case ast.Tuple(elts=items):
                return tuple(self._fold_items(items))
            case ast.Set(elts=items):
                return set(self._fold_items(items))
            case ast.Dict():
                return self._fold_dict(node)
            case ast.JoinedStr() | ast.FormattedValue():
                return self._fold_string(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.fold(body if self.fold(test) else orelse)
            case ast.Subscript(value=container, slice=index) if not isinstance(index, ast.Slice):
                return self._fold_subscript(self.fold(container), self.fold(index))
            case _:
                return self._fold_operation(node)

    def _fold_operation(self, node: ast.expr) -> Value:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY_OPERATORS:
                return self._fold_binary(node, op, self.fold(left), self.fold(right))
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY_OPERATORS[type(op)](self.fold(operand))
            case ast.BoolOp(op=op, values=values):
                return self._fold_boolean(op, values)
            case ast.Call():
                return self._read_call(node, self.fold)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                return _COMPARISONS[type(op)](self.fold(left), self.fold(right))
            case _:
                raise NotConstant(node, describe_expression(node))

    def _fold_items(self, nodes: list[ast.expr]) -> list[Value]:
        items: list[Value] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.fold(node.value)
                if not isinstance(inner, list | tuple | set | dict | str):
                    raise NotConstant(node, "an unpacked value that is not a list")
                items.extend(inner)
            else:
                items.append(self.fold(node))
            if len(items) > _LENGTH_MAX:
                raise NotConstant(node, "a list that is too long")
        return items

    def _fold_dict(self, node: ast.Dict) -> dict[Value, Value]:
        result: dict[Value, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            folded = self.fold(value)
            if key is not None:
                result[self.fold(key)] = folded
            elif isinstance(folded, dict):
                result.update(folded)
            else:
                raise NotConstant(value, "an unpacked value that is not a dictionary")
        return result

    def _fold_string(self, node: ast.JoinedStr | ast.FormattedValue) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(str(self.fold(part)) for part in node.values)
        spec = "" if node.format_spec is None else str(self.fold(node.format_spec))
        if any(int(digits) > _LENGTH_MAX for digits in _digit_runs(spec)):
            raise NotConstant(node, "a string that is too long")
        return format(_CONVERSIONS[node.conversion](self.fold(node.value)), spec)

    @staticmethod
    def _fold_subscript(container: Value, index: Value) -> Value:
        if isinstance(container, dict):
            return container[index]
        if isinstance(container, list | tuple | str) and isinstance(index, int):
            return container[index]
        raise TypeError("only known lists and dictionaries can be indexed")

    def _fold_boolean(self, op: ast.boolop, values: list[ast.expr]) -> Value:
        result: Value = None
        for node in values:
            result = self.fold(node)
            if bool(result) == isinstance(op, ast.Or):
                break
        return result

    @staticmethod
    def _fold_binary(node: ast.expr, op: ast.operator, left: Value, right: Value) -> Value:
        if _is_too_large(op, left, right):
            raise NotConstant(node, "a value that is too large")
        return _BINARY_OPERATORS[type(op)](left, right)


def _is_too_large(op: ast.operator, left: Value, right: Value) -> bool:
    """Return whether an operation could produce a value that exhausts memory or time.

    The scanned source is untrusted: ``10**10**10`` or ``"x" * 10**12`` must not stop a scan.
    """
    if isinstance(left, int) and isinstance(right, int):
        return _has_too_many_bits(op, left, right)
    if isinstance(op, ast.Mod) and isinstance(left, str | bytes):  # "%1000000000d" % 1, "%*d" % (10**9, 1)
        text = str(left)
        return _STAR_WIDTH.search(text) is not None or any(int(run) > _LENGTH_MAX for run in _digit_runs(text))
    sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple | dict | set)]
    if isinstance(op, ast.Mult) and sizes:
        factor = right if isinstance(right, int) else left
        return isinstance(factor, int) and sizes[0] * factor > _LENGTH_MAX
    return sum(sizes) > _LENGTH_MAX


def _has_too_many_bits(op: ast.operator, left: int, right: int) -> bool:
    match op:
        case ast.Pow():
            return abs(left) > 1 and right * left.bit_length() > _BITS_MAX
        case ast.LShift():
            return left.bit_length() + right > _BITS_MAX
        case ast.Mult():
            return left.bit_length() + right.bit_length() > _BITS_MAX
        case _:
            return False


def _digit_runs(text: str) -> list[str]:
    """Return the runs of digits in a text, truncated to eight digits.

    ``int()`` of a run then stays cheap, and eight digits are enough to exceed ``_LENGTH_MAX``.
    """
    return [run[:8] for run in "".join(c if c in "0123456789" else " " for c in text).split()]


def _reject_call(node: ast.Call, _fold: Callable[[ast.expr], Value]) -> Value:
    raise NotConstant(node, describe_expression(node))


def describe_expression(node: ast.AST) -> str:
    """Return a noun phrase for the kind of an expression, such as ``a call of get_schedule()``."""
    match node:
        case ast.Call(func=function):
            return f"a call of {ast.unparse(function)[:60]}()"
        case ast.Attribute():
            return f"{ast.unparse(node)[:60]}, an attribute"
        case ast.Lambda():
            return "a lambda"
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return "a comprehension"
        case _:
            return f"an expression ({type(node).__name__})"
