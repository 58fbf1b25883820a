"""Which class each pixel shows."""
