"""The worker: the program that serves a function inside the function's own process.

The function's interpreter runs it, not the platform's: standard library only, Python 3.8 and later.
"""
