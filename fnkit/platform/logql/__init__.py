"""LogQL, the part of it that people use with Cockpit: read, printed and evaluated (pure; no files, no clock).

::

    text ──lexing──▶ tokens ──parsing──▶ syntax ──pipeline──▶ lines that stay, with their labels
                                               └──metrics───▶ series of numbers

What it leaves out is refused with its name and its place. ``docs/logs.md`` lists what there is.
"""
