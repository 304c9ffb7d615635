"""The languages of this machine: which program runs or compiles the functions of a runtime, and how."""
