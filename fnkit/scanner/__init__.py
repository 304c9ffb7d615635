"""Source files → declarations. User code is read, never run, unless asked, and then in a child process."""

from fnkit.scanner.report import Marked, ScannedFunction, ScanReport, Signature
from fnkit.scanner.scan import scan

__all__ = ["Marked", "ScanReport", "ScannedFunction", "Signature", "scan"]
