"""Molecules of everyday chemistry, written down by hand as SMILES."""

from __future__ import annotations


def _listed(text: str) -> list[str]:
    return text.split()


SMALL = _listed("""
[H][H] O N C CC C=C C#C CCC CO CCO OO NN NO C=O O=CO CC=O CC(=O)O CC(C)=O N#N [C-]#[O+] O=C=O
N#[N+][O-] C#N CC#N NC=O NC(N)=O c1ccccc1 c1ccncc1 c1ccc[nH]1 c1ccoc1 c1ccsc1 C1CC1 C1CO1 OCCO
OCC(O)CO F FC FC(F)F FC(F)(F)F Cl CCl ClC(Cl)Cl ClCl FF BrBr Br CBr II I CI S CS CSC CS(C)=O O=S=O
O=S(=O)=O OS(=O)(=O)O SS S=C=S P CP OP(=O)(O)O ClP(Cl)Cl FP(F)F O=P(Cl)(Cl)Cl [SiH4] C[Si](C)(C)C
F[Si](F)(F)F O[Si](O)(O)O B(F)(F)F B(O)(O)O BrB(Br)Br C[N+](=O)[O-] O[N+](=O)[O-] C=C=O N=C=O
O=C(Cl)Cl O=[O+][O-] ClO FO O=NO
""")

AMINO = _listed("""
NCC(=O)O CC(N)C(=O)O CC(C)C(N)C(=O)O OCC(N)C(=O)O SCC(N)C(=O)O CC(O)C(N)C(=O)O NC(=O)CC(N)C(=O)O
OC(=O)CC(N)C(=O)O O=C(O)C1CCCN1 CSCCC(N)C(=O)O NCCCCC(N)C(=O)O NC(Cc1ccccc1)C(=O)O
NC(Cc1c[nH]cn1)C(=O)O CC(=O)NCC(=O)NC CC(=O)NC(C)C(=O)NC [NH3+]CC(=O)[O-] C[C@H]([NH3+])C(=O)[O-]
""")

DRUGS = _listed("""
CC(=O)Oc1ccccc1C(=O)O CC(=O)Nc1ccc(O)cc1 CC(C)Cc1ccc(C(C)C(=O)O)cc1 Cn1c(=O)c2c(ncn2C)n(C)c1=O
CN1CCCC1c1cccnc1 NS(=O)(=O)c1ccc(N)cc1 Clc1ccccc1Cl OC(=O)c1ccccc1O CCOC(=O)c1ccc(N)cc1
CCN(CC)CC(=O)Nc1c(C)cccc1C Nc1ncnc2nc[nH]c12 O=c1cc[nH]c(=O)[nH]1 CC1(C)SC2C(N)C(=O)N2C1C(=O)O
O=C(O)c1cn(C2CC2)c2cc(N3CCNCC3)c(F)cc2c1=O Cc1ncc(CO)c(CO)c1O NCCc1ccc(O)c(O)c1
CNCC(O)c1ccc(O)c(O)c1 O=C(O)Cc1ccccc1Nc1c(Cl)cccc1Cl COc1ccc2cc(C(C)C(=O)O)ccc2c1
CN(C)CCOC(c1ccccc1)c1ccccc1 NC(=O)c1cnccn1 Cc1ncc([N+](=O)[O-])n1CCO FC(F)(F)c1ccccc1Br
CC(C)NCC(O)COc1cccc2ccccc12 CSc1ccc(Cl)cc1 COP(=S)(OC)Oc1ccccc1 C[Si](C)(C)OCc1ccccc1
OB(O)c1ccccc1 Ic1ccc(O)cc1 CCSP(=O)(OC)N
""")

IONS = _listed("""
[OH-] [NH4+] [OH3+] [F-] [Cl-] [Br-] [I-] [C-]#N [N-]=[N+]=[N-] O=C[O-] CC(=O)[O-] C[NH3+]
C[N+](C)(C)C [O-][N+](=O)[O-] O=N[O-] OC(=O)[O-] OS(=O)(=O)[O-] OP(=O)(O)[O-] [O-]Cl(=O)(=O)=O
F[B-](F)(F)F F[P-](F)(F)(F)(F)F C[S-] CC[O-] [O-]c1ccccc1 c1cc[nH+]cc1 C[P+](C)(C)C C[S+](C)C
NC(N)=[NH2+] [S-]C#N [BH4-] [Al-](Cl)(Cl)(Cl)Cl [Li+] [Na+] [K+]
""")

SALTS = _listed("""
[Li+].[F-] [Li+].[Cl-] [Na+].[F-] [Na+].[Cl-] [K+].[Cl-] [K+].[Br-] [Na+].[I-] [Na+].[OH-]
[Na+].CC(=O)[O-] [K+].O=C[O-] [Li+].C[O-] [Na+].[C-]#N [K+].[O-][N+](=O)[O-] [Na+].O [K+].O
[Li+].O.O [Mg+2].[Cl-].[Cl-] [Ca+2].[F-].[F-] [Zn+2].[Cl-].[Cl-] [Mg+2].[OH-].[OH-]
[Ca+2].O=C[O-].O=C[O-] [Zn+2].[CH3-].[CH3-] [Al+3].[Cl-].[Cl-].[Cl-] [NH4+].[Cl-] C[NH3+].O=C[O-]
""")

CATIONS = {"[Li+]": 1, "[Na+]": 1, "[K+]": 1, "[Mg+2]": 2, "[Ca+2]": 2, "[Zn+2]": 2, "[Al+3]": 3}
"""Metals and their charges, which `salt_of` puts together with what follows."""

ANIONS = _listed("""
[H-] [F-] [Cl-] [Br-] [I-] [OH-] [SH-] [NH2-] [CH3-] [C-]#N [N-]=[N+]=[N-] [BH4-] C#C[O-] C[O-]
C[S-] O=C[O-] CC(=O)[O-] O=C([O-])C(F)(F)F O=C([O-])c1ccccc1 O=C([O-])O O=N[O-] [O-][N+](=O)[O-]
[S-]C#N [O-]c1ccccc1 O=P([O-])(O)O O=S(=O)([O-])O CS(=O)(=O)[O-] O=S(=O)([O-])C(F)(F)F F[B-](F)(F)F
F[P-](F)(F)(F)(F)F [O-]Cl(=O)(=O)=O O=S(=O)([N-]S(=O)(=O)C(F)(F)F)C(F)(F)F [CH2-]C CC[O-] [O-]Cl
""")

DIANIONS = _listed("""
[O-2] [S-2] O=C([O-])[O-] O=S(=O)([O-])[O-] O=C([O-])C(=O)[O-] O=C([O-])CC(=O)[O-] [O-]CC[O-]
""")

LIGANDS = _listed("""
O O O N CO COC CC#N CC(C)=O NC=O CN(C)C=O CS(C)=O C1CCOC1 OCCO COCCOC O=C1OCCO1 CC1COC(=O)O1
COC(=O)OC C=C C#C c1ccccc1 c1ccncc1 CN S CSC P C=O O=CO CC(N)=O Cl FC
""")

PROTON_TRANSFERS = [
    ("O", "O"), ("O", "N"), ("N", "N"), ("CO", "CO"), ("O=CO", "N"), ("O=CO", "O"), ("F", "[F-]"),
    ("F", "O"), ("F", "N"), ("Cl", "N"), ("Cl", "O"), ("C#N", "N"), ("Oc1ccccc1", "N"), ("S", "N"),
    ("[NH4+]", "O"), ("[NH4+]", "N"), ("[OH3+]", "O"), ("O", "[OH-]"), ("O=CO", "O=C[O-]"),
    ("CC(=O)O", "CN"),
]  # fmt: skip
"""Donors of a proton, and acceptors."""

ACIDS = _listed("""
O CO N CN F Cl Br S CS C#N C#C O=CO CC(=O)O Oc1ccccc1 c1cc[nH]c1 NC=O C[N+](=O)[O-] O=[N+]([O-])O
OCC(F)(F)F O=S(=O)(O)O O=P(O)(O)O [NH4+] [OH3+] C[NH3+] NC(N)=[NH2+] c1cc[nH+]cc1 OO NO OB(O)O OCl
""")
BASES = _listed("""
O CO COC C=O CC(C)=O O=CO N CN CN(C)C c1ccncc1 NC=O CC#N C#N S CSC P [OH-] C[O-] [F-] [Cl-] [Br-]
[SH-] C[S-] [C-]#N O=C[O-] CC(=O)[O-] [NH2-] [O-]c1ccccc1 O=N[O-] CS(C)=O C[N+](C)(C)[O-] NO NN
""")
"""Of these any pair whose charges do not add up to two."""

NUCLEOPHILES = {
    "F": "[F-]",
    "Cl": "[Cl-]",
    "Br": "[Br-]",
    "I": "[I-]",
    "O": "[OH-]",
    "S": "[SH-]",
    "N": "N",
}
"""What attacks carbon, by the atom that does; all but the last leave it as well."""
