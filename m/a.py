from fnkit import function, cron

@function(memory=300)
def a(event: object, context: object) -> str: return ""

@function(memroy=256)
def b(event: object, context: object) -> str: return ""

@cron(5)
def c(event: object, context: object) -> str: return ""
