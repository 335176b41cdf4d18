"""What `import ran` offers: each function is one verb of the command line, for scripts and notebooks."""
