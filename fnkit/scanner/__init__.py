"""Finds the functions that source files declare.

The source is parsed, not executed. Only on request are modules imported, and then in a child process.
"""

from fnkit.scanner.report import ScannedFunction, ScanReport
from fnkit.scanner.scan import scan

__all__ = ["ScanReport", "ScannedFunction", "scan"]
