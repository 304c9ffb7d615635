"""The Functions API v1beta1 in types, and the data plane's rules: pure, shared by the kit and the platform.

What the kit and the platform know of each other stands here, and nowhere else.
"""
