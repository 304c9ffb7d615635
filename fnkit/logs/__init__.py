"""The logs of deployed functions, read from a Loki server: the local platform, or Scaleway's Cockpit."""
