"""Types of the Functions API v1beta1, and the rules of the data plane.

The kit and the platform share this package and no other. It performs no I/O.
"""
