"""The environments in which a project's handlers run on this machine: packages, compiled programs, interpreters.

``prepare_environment`` is the one way to get one, whatever the language.
"""
