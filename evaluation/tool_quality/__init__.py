"""Figures of quality of the tools: one module a tool, which drives it through the Tool Protocol and scores its results.

Nothing here knows how a tool works or how phantoms are drawn: tools and cases are handed in.
"""
