"""Figures of matplotlib, drawn without a display."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Literal

from deepdft.errors import ConfigurationError
from deepdft.extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE = (0.0, 0.447, 0.698)
ORANGE = (0.835, 0.369, 0.0)
"""More and less than: told apart by everyone, in grey too once both are named (Okabe and Ito)."""

RESOLUTION = 300
"""Dots per inch of pictures for print."""


def new_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure of a size in inches, whose parts matplotlib arranges, or nobody.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    figures = import_extra("matplotlib.figure", "A picture")
    figure: Figure = figures.Figure(figsize=(width, height), layout=layout)
    # Notebooks ask for this; matplotlib answers for figures of pyplot alone.
    setattr(figure, "_repr_png_", partial(png, figure))  # noqa: B010
    return figure


def png(figure: Figure, resolution: int = 150) -> bytes:
    """Return a figure as a PNG, at a resolution in dots per inch."""
    return _saved(figure, "png", resolution)


def svg(figure: Figure, resolution: int = RESOLUTION) -> bytes:
    """Return a figure as an SVG; what is an image in it has a resolution in dots per inch."""
    return _saved(figure, "svg", resolution)


def picture(figure: Figure, suffix: str, resolution: int = RESOLUTION) -> bytes:
    """Return a figure in the format of a file's suffix.

    Raises:
        ConfigurationError: if it is neither .png nor .svg.
    """
    if suffix.lower() not in (".png", ".svg"):
        raise ConfigurationError(f"A picture is .png or .svg, not '{suffix}'.")
    return _saved(figure, suffix[1:].lower(), resolution)


def _saved(figure: Figure, format: str, resolution: int) -> bytes:
    if format == "png":
        import_extra("matplotlib.backends.backend_agg", "A picture").FigureCanvasAgg(figure)
    else:
        import_extra("matplotlib.backends.backend_svg", "A picture").FigureCanvasSVG(figure)
    buffer = io.BytesIO()
    # No date and no names by chance: the same figure is the same file.
    known = {"Date": None} if format == "svg" else {}
    with import_extra("matplotlib", "A picture").rc_context({"svg.hashsalt": "deepdft"}):
        figure.savefig(buffer, format=format, dpi=resolution, metadata=known)
    return buffer.getvalue()
