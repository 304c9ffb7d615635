"""A query as a tree of frozen values. Durations are nanoseconds, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "AllOf",
    "AnyOf",
    "Assignment",
    "BinaryOperation",
    "Comparison",
    "ComparisonOperator",
    "Condition",
    "Conversion",
    "Decolorize",
    "Drop",
    "Extraction",
    "Grouping",
    "JsonParser",
    "Keep",
    "LabelFilter",
    "LabelFormat",
    "LineFilter",
    "LineFormat",
    "LogQuery",
    "LogRange",
    "LogfmtParser",
    "Matcher",
    "Matching",
    "MetricQuery",
    "Number",
    "PatternParser",
    "Query",
    "RangeAggregation",
    "RegexpParser",
    "Stage",
    "Unwrap",
    "Vector",
    "VectorAggregation",
]

MatchOperator: TypeAlias = Literal["=", "!=", "=~", "!~"]
LineOperator: TypeAlias = Literal["|=", "!=", "|~", "!~"]
Conversion: TypeAlias = Literal["", "duration", "duration_seconds", "bytes"]
ComparisonOperator: TypeAlias = Literal["==", "!=", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name="value"``: in a selector, and as a filter of labels."""

    name: str
    operator: MatchOperator
    value: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``name > value`` for a label that reads as a number, a duration or a size."""

    name: str
    operator: ComparisonOperator
    value: float
    unit: Literal["number", "duration", "size"]


@dataclass(frozen=True, slots=True)
class AllOf:
    """``left and right``."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class AnyOf:
    """``left or right``."""

    left: Condition
    right: Condition


Condition: TypeAlias = Matcher | Comparison | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class LineFilter:
    """``|= "a" or "b"``. A line stays when one of the texts is in it; with ``!=`` and ``!~``, when none is."""

    operator: LineOperator
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extraction:
    """``label="expression"`` of a parser that takes some fields only."""

    label: str
    expression: str


@dataclass(frozen=True, slots=True)
class JsonParser:
    """``| json``; without extractions every field becomes a label."""

    extractions: tuple[Extraction, ...] = ()


@dataclass(frozen=True, slots=True)
class LogfmtParser:
    """``| logfmt``."""

    extractions: tuple[Extraction, ...] = ()
    strict: bool = False
    keep_empty: bool = False


@dataclass(frozen=True, slots=True)
class RegexpParser:
    """``| regexp "…(?P<label>…)…"``."""

    pattern: str


@dataclass(frozen=True, slots=True)
class PatternParser:
    """``| pattern "<label> <_>"``."""

    pattern: str


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """``| level="error" or status >= 500``."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class LineFormat:
    """``| line_format "{{.label}}"``."""

    template: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """``label=source`` (a rename) or ``label="template"``."""

    label: str
    value: str
    is_template: bool


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """``| label_format a=b, c="{{.d}}"``."""

    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """``| drop a, b="c"``: these labels, or those that match."""

    labels: tuple[str | Matcher, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """``| keep a, b="c"``: only these labels, or those that match."""

    labels: tuple[str | Matcher, ...]


@dataclass(frozen=True, slots=True)
class Decolorize:
    """``| decolorize``: the line without its ANSI colours."""


Stage: TypeAlias = (
    LineFilter
    | JsonParser
    | LogfmtParser
    | RegexpParser
    | PatternParser
    | LabelFilter
    | LineFormat
    | LabelFormat
    | Drop
    | Keep
    | Decolorize
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """``{selector} | stage | stage``: lines."""

    selector: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwrap:
    """``| unwrap label | filter``: the number in a label is the sample. conversion: ``""``, or what it reads as."""

    label: str
    conversion: Conversion = ""
    filters: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRange:
    """``{…} | … [5m] offset 1h``."""

    query: LogQuery
    interval: int
    offset: int = 0
    unwrap: Unwrap | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """``by (a, b)`` or ``without (a, b)``."""

    labels: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """``count_over_time({…}[5m])``; ``parameter`` is the quantile."""

    function: str
    log_range: LogRange
    parameter: float | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """``sum by (a) (…)``; ``parameter`` is the k of ``topk``."""

    function: str
    operand: MetricQuery
    parameter: int | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """``on (a)`` or ``ignoring (a)``: which labels two series must share."""

    labels: tuple[str, ...] = ()
    on: bool = False


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """``left + right``; ``as_bool``: a comparison gives 0 or 1 instead of filtering."""

    operator: str
    left: MetricQuery
    right: MetricQuery
    as_bool: bool = False
    matching: Matching = Matching()


@dataclass(frozen=True, slots=True)
class Number:
    """A number that stands for itself."""

    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """``vector(1)``: one series without labels."""

    value: float


MetricQuery: TypeAlias = RangeAggregation | VectorAggregation | BinaryOperation | Number | Vector
Query: TypeAlias = LogQuery | MetricQuery
