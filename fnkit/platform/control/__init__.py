"""The control plane: the operations of the Functions API, and the only writer of the store.

Each group of operations has a module. An operation validates its request, stores the change in one transaction and
then pushes it to the data plane.
"""
