"""What can be written into files: every key with its default, range, unit and clause, as pages and as JSON schema."""
