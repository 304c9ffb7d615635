"""HTTP of the control plane: decode, one control call, encode. Errors are mapped in one place."""
