def add_tax(amount):
    return amount * 2
