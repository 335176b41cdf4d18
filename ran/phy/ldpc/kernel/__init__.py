"""The decoder kernel, generated as LLVM IR."""
