"""Debugging of one function: what a debugger connects to, and the configuration that an editor connects with."""
