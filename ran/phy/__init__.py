"""What TS 38.211, 38.212 and 38.214 define: pure functions of tensors and a configuration."""
