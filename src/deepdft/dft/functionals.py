"""Exchange-correlation functionals by name, and the eight of the paper's equation (8).

The eight are what the paper calls BEEF, PBE, PW91, CA, PZ, RPBE, revPBE and PBEsol. In VASP, CA and
PZ are both the local density approximation with the electron gas of Ceperley and Alder; here they
are two fits of these data. The paper's BEEF-vdW has a non-local part (vdW-DF2 correlation) that
libxc does not have; what is used is its exchange with its local and semilocal correlation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Functional:
    """An exchange-correlation functional.

    Attributes:
        name: in deepdft and in levels of theory.
        libxc: its parts by their names in libxc, exchange and correlation separated by a comma.
        source: what it is.
    """

    name: str
    libxc: str
    source: str


EIGHT = (
    Functional(
        "BEEF",
        "GGA_XC_BEEFVDW",
        "BEEF-vdW without its non-local correlation; Wellendorff et al., PRB 85, 235149 (2012)",
    ),
    Functional("PBE", "GGA_X_PBE,GGA_C_PBE", "Perdew, Burke and Ernzerhof, PRL 77, 3865 (1996)"),
    Functional("PW91", "GGA_X_PW91,GGA_C_PW91", "Perdew et al., PRB 46, 6671 (1992)"),
    Functional(
        "CA",
        "LDA_X,LDA_C_PW",
        "local density, Ceperley-Alder data as fitted by Perdew and Wang, PRB 45, 13244 (1992)",
    ),
    Functional(
        "PZ",
        "LDA_X,LDA_C_PZ",
        "local density, Ceperley-Alder data as fitted by Perdew and Zunger, PRB 23, 5048 (1981)",
    ),
    Functional("RPBE", "GGA_X_RPBE,GGA_C_PBE", "Hammer, Hansen and Nørskov, PRB 59, 7413 (1999)"),
    Functional("revPBE", "GGA_X_PBE_R,GGA_C_PBE", "Zhang and Yang, PRL 80, 890 (1998)"),
    Functional("PBEsol", "GGA_X_PBE_SOL,GGA_C_PBE_SOL", "Perdew et al., PRL 100, 136406 (2008)"),
)
"""The eight functionals of equation (8), K = 8."""

SEVEN = tuple(functional for functional in EIGHT if functional.name != "PZ")
"""Without the second fit of the same data, K = 7."""

_BY_NAME = {functional.name.casefold(): functional for functional in EIGHT}


def libxc_code(name: str) -> str:
    """Return what libxc calls a functional; a name that is not in `EIGHT` stays as it is."""
    known = _BY_NAME.get(name.casefold())
    return known.libxc if known else name
