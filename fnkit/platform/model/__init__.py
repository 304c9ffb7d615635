"""Values that the control plane stores and both processes exchange. No I/O."""
