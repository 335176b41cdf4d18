"""Classical receivers as a compiled C library: its source, its model files, and the library as a receiver."""
