"""Where trained parameters come from. Published weights by name: ``from baimu import weights``."""

from baimu.weights.catalog import Entry, Verified, entries, entry, fetch, resolve, verify

__all__ = ["Entry", "Verified", "entries", "entry", "fetch", "resolve", "verify"]
