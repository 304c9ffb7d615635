"""Invoices without HTTP: every rule here is a plain function of plain values."""
