"""The program that serves a function inside an image: HTTP on one side, one worker process on the other.

It lies in the image beside ``fnkit.contract.invocation``, whose event and response rules it applies, and runs with
the function's interpreter: standard library only, Python 3.9 and later.
"""
