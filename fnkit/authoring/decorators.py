"""Placeholder until the authoring package lands."""


def function(x):
    return x


def cron(x):
    return x


def trigger(x):
    return x
