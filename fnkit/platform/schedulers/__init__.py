"""What happens by itself: crons, expiries. All of it on the injected clock."""
