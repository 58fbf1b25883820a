"""Every metric against its reference code on random hard cases: ``make equality``.

A subject is one metric with its reference; a case of it is a seed. Where a metric has well-kept reference code as a
package, that is what it is compared with; where not, with the definition in exact fractions, item by item.
"""
