"""Numbers in text, parsed and written by compiled code."""
