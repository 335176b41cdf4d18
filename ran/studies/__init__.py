"""What is asked of a link: studies over many experiments, each with its own figures and page."""
