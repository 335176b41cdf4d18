"""What is asked of a link, one package per study."""
