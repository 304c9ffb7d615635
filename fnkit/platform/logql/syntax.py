"""The syntax tree of a query as frozen values. Durations are nanoseconds, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

MatchOperator: TypeAlias = Literal["=", "!=", "=~", "!~"]
LineOperator: TypeAlias = Literal["|=", "!=", "|~", "!~"]
UnwrapConversion: TypeAlias = Literal["", "duration", "duration_seconds", "bytes"]
LabelOperator: TypeAlias = Literal["and", "or"]
ComparisonOperator: TypeAlias = Literal["==", "!=", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name="value"`` in a selector or a label filter."""

    name: str
    operator: MatchOperator
    value: str


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """``name > value`` for a label with a number, a duration or a size."""

    name: str
    operator: ComparisonOperator
    value: float
    unit: Literal["number", "duration", "size"]


@dataclass(frozen=True, slots=True)
class LabelOperation:
    """``left and right``, or ``left or right``."""

    operator: LabelOperator
    left: LabelCondition
    right: LabelCondition


LabelCondition: TypeAlias = Matcher | LabelComparison | LabelOperation


@dataclass(frozen=True, slots=True)
class LineFilter:
    """``|= "a" or "b"``: keep lines that contain any of the texts, or with ``!=`` and ``!~`` none of them."""

    operator: LineOperator
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extraction:
    """``label="expression"``: a single field that a parser extracts."""

    label: str
    expression: str


@dataclass(frozen=True, slots=True)
class JsonParser:
    """``| json``: make every field a label, or only the extractions if there are any."""

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

    condition: LabelCondition


@dataclass(frozen=True, slots=True)
class LineFormat:
    """``| line_format "{{.label}}"``."""

    template: str


@dataclass(frozen=True, slots=True)
class LabelAssignment:
    """``label=source``, which renames a label, or ``label="template"``."""

    label: str
    value: str
    is_template: bool


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """``| label_format a=b, c="{{.d}}"``."""

    assignments: tuple[LabelAssignment, ...]


@dataclass(frozen=True, slots=True)
class LabelSelection:
    """``| drop a, b="c"`` removes these labels, or those that match; ``| keep a, b="c"`` removes all others."""

    labels: tuple[str | Matcher, ...]
    keeps: bool


@dataclass(frozen=True, slots=True)
class Decolorize:
    """``| decolorize``: remove ANSI colour sequences from the line."""


Stage: TypeAlias = (
    LineFilter
    | JsonParser
    | LogfmtParser
    | RegexpParser
    | PatternParser
    | LabelFilter
    | LineFormat
    | LabelFormat
    | LabelSelection
    | Decolorize
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """``{selector} | stage | stage``: a query that returns lines."""

    selector: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwrap:
    """``| unwrap label | filter``: use the number in a label as sample, after an optional conversion."""

    label: str
    conversion: UnwrapConversion = ""
    filters: tuple[LabelCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRange:
    """``{…} | … [5m] offset 1h``."""

    query: LogQuery
    interval: int
    offset: int = 0
    unwrap: Unwrap | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """``by (a, b)`` or ``without (a, b)``; between two operands ``on (a, b)`` or ``ignoring (a, b)``."""

    labels: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """``count_over_time({…}[5m])``; ``parameter`` is the quantile of ``quantile_over_time``."""

    function: str
    log_range: LogRange
    parameter: float | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """``sum by (a) (…)``; ``parameter`` is the count of ``topk`` and ``bottomk``."""

    function: str
    operand: MetricQuery
    parameter: int | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """``left + right``; with ``as_bool`` a comparison returns 0 or 1 instead of filtering.

    ``matching`` are the labels in which two series must agree.
    """

    operator: str
    left: MetricQuery
    right: MetricQuery
    as_bool: bool = False
    matching: Grouping = Grouping((), without=True)


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number literal."""

    value: float


@dataclass(frozen=True, slots=True)
class VectorLiteral:
    """``vector(1)``: a series without labels."""

    value: float


MetricQuery: TypeAlias = RangeAggregation | VectorAggregation | BinaryOperation | NumberLiteral | VectorLiteral
Query: TypeAlias = LogQuery | MetricQuery
