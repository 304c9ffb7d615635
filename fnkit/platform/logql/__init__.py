"""LogQL, Loki's query language: lexer, parser and evaluation. Pure: no files, no clock.

::

    text ──lexer──▶ tokens ──parser──▶ syntax tree ──pipeline──▶ selected lines with their labels
                                                   └──metrics──▶ series of numbers

It implements the subset that ``docs/logs.md`` lists. Unsupported syntax is an error that names the feature and its
position. Behaviour and error messages follow Loki 3.7.
"""
