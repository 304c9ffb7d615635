"""Images of functions: their layers, and the registry that serves them.

An image is a list of layers: the base, which has an interpreter and its libraries; the core runtime and the worker;
the dependencies of the function; its code. A layer is a tar archive that is stored once under its digest, whichever
images contain it.
"""
