from . import tax

NAME = tax.__name__
