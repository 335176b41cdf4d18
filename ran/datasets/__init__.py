"""Data sets: slots and channels simulated into HDF5 or zarr files, and read back for training."""
