from .tax import add_tax


def total(prices):
    return add_tax(sum(prices))
