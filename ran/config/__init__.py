"""How files become objects: strict YAML 1.2, overrides, one-line validation errors, limits of options, provenance."""
