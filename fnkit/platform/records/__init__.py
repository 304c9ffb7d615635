"""PURE. The control plane's entities as the store keeps them, and their legal state transitions."""
