from fnkit import function

@function
def hello(event, context): ...
