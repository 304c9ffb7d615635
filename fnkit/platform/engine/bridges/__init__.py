"""One small program per language, run by the target's interpreter and not by ours: standard library only."""
