"""The local page: draw, name or drop a structure and see its electrons.

`application` makes the web application, `serve` runs it on this machine. Pages, scripts and the
molecule editor are files in `page/`; nothing comes from the internet.
"""
