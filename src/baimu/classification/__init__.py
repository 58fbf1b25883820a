"""What is in an image: classifiers on every backbone."""
