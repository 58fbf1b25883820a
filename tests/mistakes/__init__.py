"""The mistakes that users make most, and what they are told: a table of rows, and the desk that they are made on.

``python -m tests.mistakes`` prints every message, to be read as a user reads it.
"""
