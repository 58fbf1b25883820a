"""Sabotage: silent faults, planted one at a time, and whether an ordinary test says so.

A test that cannot fail proves nothing. Each :class:`~tests.sabotage.fault.Fault` changes a line of the library so that
it still runs, with the right shapes and without a word, and does the wrong thing. ``python -m tests.sabotage`` plants
them in copies of the library and asks the tests of their rooms; ``test_faults.py`` holds the table to the code as it
is.
"""
