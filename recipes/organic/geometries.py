"""Geometries of everyday chemistry by group; which are made follows from a seed alone.

None is exactly at a minimum, on purpose: force-field geometries get 0.03 Å of noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import molecules
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.data import chemical_symbols, covalent_radii, vdw_radii

from deepdft.errors import DeepDFTError
from deepdft.structures import atoms_from_smiles
from deepdft.structures.molecules import Molecules

NOISE = 0.03
"""Å."""

_DEPROTONATIONS = ("[C,S,P:1](=[O:2])[OX2H1:3]>>[*:1](=[O:2])[O-:3]", "[c:1][OX2H1:2]>>[c:1][O-:2]",
                   "[#6:1][SX2H1:2]>>[#6:1][S-:2]")  # fmt: skip
_PROTONATIONS = ("[NX3;H2;!$(N[C,S,P]=[O,S,N]);!$(N-a):1]>>[NH3+:1]", "[n;X2;r6:1]>>[nH+:1]")
_HEAVIEST = 18
"""Largest number of heavy atoms of a molecule."""
_LARGEST_SALT = 20
"""Largest number of atoms of salts that are put together."""

Made = tuple[Atoms, str]
"""A geometry, its charge in `info`, and its key: canonical SMILES, dots between molecules."""


def canonical(smiles: str) -> str:
    """Return a SMILES string in RDKit's canonical form, without stereochemistry."""
    from rdkit import Chem

    return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))


def fragments(drugs: list[str]) -> list[str]:
    """Return molecules and their BRICS fragments, hydrogen put where bonds were cut."""
    from rdkit import Chem, RDLogger
    from rdkit.Chem import BRICS

    RDLogger.DisableLog("rdApp.*")
    found = set()
    for smiles in drugs:
        parts = BRICS.BRICSDecompose(Chem.MolFromSmiles(smiles))
        for part in [smiles, *parts]:
            whole = Chem.ReplaceSubstructs(
                Chem.MolFromSmiles(part),
                Chem.MolFromSmarts("[#0]"),
                Chem.MolFromSmiles("[H]"),
                True,
            )[0]
            molecule = Chem.MolFromSmiles(Chem.MolToSmiles(Chem.RemoveHs(whole)))
            if molecule is not None and 2 <= molecule.GetNumHeavyAtoms() <= _HEAVIEST:
                found.add(Chem.MolToSmiles(molecule, isomericSmiles=False))
    return sorted(found)


def protonation_states(neutral: list[str]) -> list[str]:
    """Return ions that are made by taking one proton off molecules or putting one on."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    found = set()
    for smiles, rule in itertools.product(neutral, (*_DEPROTONATIONS, *_PROTONATIONS)):
        reaction = AllChem.ReactionFromSmarts(rule)
        for (product,) in reaction.RunReactants((Chem.MolFromSmiles(smiles),)):
            if not Chem.SanitizeMol(product, catchErrors=True):
                found.add(Chem.MolToSmiles(product, isomericSmiles=False))
    return sorted(found)


class Geometries:
    """Makes geometries.

    Args:
        drugs: SMILES whose fragments are the group "organic", and parts of others.
    """

    def __init__(self, drugs: list[str]) -> None:
        self.organic = fragments(drugs)
        self.ions = sorted({*map(canonical, molecules.IONS), *protonation_states(self.organic)})
        self.known = sorted({*map(canonical, molecules.SMALL), *self.organic})
        self.groups: dict[str, Callable[[int, np.random.Generator], Made]] = {
            "small": lambda n, g: self._one(molecules.SMALL, n, g),
            "amino": lambda n, g: self._one(molecules.AMINO, n, g),
            "organic": lambda n, g: self._one(self.organic, n, g),
            "ion": lambda n, g: self._one(self.ions, n, g),
            "complex": self._complex,
            "hot": self._hot,
            "salt": self._salt,
            "path": self._path,
            "stretched": self._stretched,
        }

    def of_group(self, group: str, count: int, seed: int) -> Iterator[tuple[int, Made]]:
        """Yield number and geometry of those of a group that can be made."""
        for number in range(count):
            generator = np.random.default_rng((seed, list(self.groups).index(group), number))
            try:
                yield number, self.groups[group](number, generator)
            except (DeepDFTError, CalculationFailed):
                # No force field or conformer for this one, or GFN2-xTB does not converge.
                continue

    def _one(self, smiles: list[str], number: int, generator: np.random.Generator) -> Made:
        chosen = smiles[number % len(smiles)]
        return noisy(atoms_from_smiles(chosen), generator), canonical(chosen)

    def _complex(self, number: int, generator: np.random.Generator) -> Made:
        partners = [self.known, self.ions if number % 4 == 0 else self.known]
        keys = [str(generator.choice(group)) for group in partners]
        if number % 3 == 0:
            keys[0] = "O"
        first, second = (turned(atoms_from_smiles(key), generator) for key in keys)
        distance = generator.uniform(0.72, 0.95)
        return noisy(side_by_side(first, second, distance), generator), ".".join(sorted(keys))

    def _hot(self, number: int, generator: np.random.Generator) -> Made:
        from ase.md.langevin import Langevin
        from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
        from tblite.ase import TBLite

        key = str(generator.choice(self.organic))
        atoms = atoms_from_smiles(key)
        temperature = float(generator.uniform(300.0, 1500.0))
        random = np.random.RandomState(int(generator.integers(2**31)))
        atoms.calc = TBLite(method="GFN2-xTB", charge=charge_of(atoms), verbosity=0)
        MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=random)
        dynamics = Langevin(
            atoms, 0.5 * units.fs, temperature_K=temperature, friction=0.05 / units.fs, rng=random
        )
        dynamics.run(200)
        return Atoms(atoms.numbers, atoms.positions, info={"charge": charge_of(atoms)}), key

    def _salt(self, number: int, generator: np.random.Generator) -> Made:
        from ase.optimize import BFGS
        from tblite.ase import TBLite

        known = number < len(molecules.SALTS)
        key = molecules.SALTS[number] if known else salt_of(generator)
        parts = [turned(atoms_from_smiles(part), generator) for part in key.split(".")]
        atoms = parts[0]
        for place, part in enumerate(parts[1:]):
            atoms = side_by_side(turned(atoms, generator), part, 0.8, -1.0 if place % 2 else 1.0)
        atoms.calc = TBLite(method="GFN2-xTB", charge=charge_of(atoms), verbosity=0)
        # Now and then to the minimum, mostly on the way to it.
        BFGS(atoms, logfile=None).run(fmax=0.05, steps=int(generator.integers(5, 60)))
        atoms.calc = None
        return atoms, canonical(key)

    def _path(self, number: int, generator: np.random.Generator) -> Made:
        if number % 2:
            entering = str(generator.choice(list(molecules.NUCLEOPHILES)))
            leaving = str(generator.choice(list(molecules.NUCLEOPHILES)[:-1]))
            return substitution(entering, leaving, float(generator.uniform(-1.0, 1.0)))
        pairs = molecules.PROTON_TRANSFERS
        known = number // 2 < len(pairs)
        donor, acceptor = pairs[number // 2] if known else _acid_and_base(generator)
        # Heavier atoms have longer bonds.
        distance = float(generator.choice([2.4, 2.6, 2.9])) + 0.35 * sum(
            any(atom in smiles for atom in ("S", "P", "Cl", "Br")) for smiles in (donor, acceptor)
        )
        molecules_of_both = atoms_from_smiles(donor), atoms_from_smiles(acceptor)
        atoms = proton_transfer(*molecules_of_both, distance, float(generator.uniform(0.0, 1.0)))
        return atoms, ".".join(sorted(map(canonical, (donor, acceptor))))

    def _stretched(self, number: int, generator: np.random.Generator) -> Made:
        key = str(generator.choice(self.known))
        atoms = noisy(atoms_from_smiles(key), generator)
        return stretched(atoms, float(generator.uniform(0.92, 1.4)), generator), key


def salt_of(generator: np.random.Generator) -> str:
    """Return the SMILES of a metal with anions and ligands, its net charge 0 or 1."""
    while True:
        key = _salt(generator)
        if _atoms_of(key) <= _LARGEST_SALT:
            return key


def _atoms_of(smiles: str) -> int:
    from rdkit import Chem

    return int(Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms())


def _salt(generator: np.random.Generator) -> str:
    cation = str(generator.choice(list(molecules.CATIONS)))
    charge = molecules.CATIONS[cation]
    anions = [str(anion) for anion in generator.choice(molecules.ANIONS, 2)]
    ligands = [str(ligand) for ligand in generator.choice(molecules.LIGANDS, 3)]
    kind = generator.random()
    if charge == 1 and kind < 0.2:
        return ".".join([cation, *ligands[: generator.integers(1, 4)]])
    if charge < 3 and kind < 0.4:
        parts = [cation, str(generator.choice(molecules.DIANIONS)), *[cation] * (2 - charge)]
    elif charge == 1 and kind < 0.55:
        parts = [cation, anions[0]] * 2
    else:
        # A second kind of anion, or one too few, now and then.
        one = [anions[0]] * (charge - 1)
        last = [] if charge > 1 and generator.random() < 0.2 else [anions[kind < 0.7]]
        parts = [cation, *one, *last]
    return ".".join([*parts, *ligands[: generator.integers(0, 3)]])


def _acid_and_base(generator: np.random.Generator) -> tuple[str, str]:
    while True:
        acid, base = (str(generator.choice(some)) for some in (molecules.ACIDS, molecules.BASES))
        if abs(charge_of(atoms_from_smiles(f"{acid}.{base}"))) < 2:
            return acid, base


def charge_of(atoms: Atoms) -> int:
    """Return the net charge that a geometry carries with it."""
    return int(atoms.info.get("charge", 0) or 0)


def noisy(atoms: Atoms, generator: np.random.Generator) -> Atoms:
    """Return a geometry with noise on its positions."""
    moved = atoms.positions + generator.normal(scale=NOISE, size=(len(atoms), 3))
    return Atoms(atoms.numbers, moved, info={"charge": charge_of(atoms)})


def turned(atoms: Atoms, generator: np.random.Generator) -> Atoms:
    """Return a molecule about its centre, turned at random."""
    axes, signs = np.linalg.qr(generator.normal(size=(3, 3)))
    rotation = axes * np.sign(np.diag(signs))
    rotation[:, 0] *= np.linalg.det(rotation)
    positions = (atoms.positions - atoms.positions.mean(axis=0)) @ rotation.T
    return Atoms(atoms.numbers, positions, info={"charge": charge_of(atoms)})


def side_by_side(one: Atoms, other: Atoms, factor: float, side: float = 1.0) -> Atoms:
    """Return two molecules along x whose nearest atoms are at `factor` of van der Waals contact."""
    radii = [np.nan_to_num(vdw_radii[atoms.numbers], nan=2.0) for atoms in (one, other)]
    contact = factor * (radii[0][:, None] + radii[1][None])
    steps = np.arange(0.0, 60.0, 0.02)
    for step in steps:
        moved = other.positions + np.array([side * step, 0.0, 0.0])
        distances = np.linalg.norm(one.positions[:, None] - moved[None], axis=2)
        if (distances >= contact).all():
            break
    charge = charge_of(one) + charge_of(other)
    numbers = np.concatenate([one.numbers, other.numbers])
    return Atoms(numbers, np.concatenate([one.positions, moved]), info={"charge": charge})


def proton_transfer(donor: Atoms, acceptor: Atoms, distance: float, place: float) -> Atoms:
    """Return a proton between two molecules.

    Args:
        donor: has hydrogen on its most electronegative atom.
        acceptor: takes it with its most electronegative atom.
        distance: between these two atoms, Å.
        place: of the proton: 0 at the donor, 1 at the acceptor.
    """
    order = [chemical_symbols.index(symbol) for symbol in ("F", "O", "N", "Cl", "S", "C")]
    bonds = Molecules(donor)
    pairs = [
        (_rank(order, int(donor.numbers[heavy])), heavy, proton)
        for proton in np.flatnonzero(donor.numbers == 1).tolist()
        for heavy, _ in bonds.neighbours[proton]
    ]
    _, heavy, proton = min(pairs)
    taker = min(range(len(acceptor)), key=lambda i: _rank(order, int(acceptor.numbers[i])))
    axis = donor.positions[proton] - donor.positions[heavy]
    axis /= np.linalg.norm(axis)
    # The rest of the acceptor lies behind the atom that takes the proton.
    rest = acceptor.positions.mean(axis=0) - acceptor.positions[taker]
    rotation = _rotation(rest, axis)
    there = (acceptor.positions - acceptor.positions[taker]) @ rotation.T
    there += donor.positions[heavy] + distance * axis
    here = donor.positions.copy()
    lengths = [
        covalent_radii[1] + covalent_radii[number]
        for number in (donor.numbers[heavy], acceptor.numbers[taker])
    ]
    along = lengths[0] + place * (distance - lengths[0] - lengths[1])
    here[proton] = donor.positions[heavy] + along * axis
    charge = charge_of(donor) + charge_of(acceptor)
    numbers = np.concatenate([donor.numbers, acceptor.numbers])
    return Atoms(numbers, np.concatenate([here, there]), info={"charge": charge})


def _rank(order: list[int], number: int) -> int:
    return order.index(number) if number in order else len(order)


def _rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a rotation that turns one direction into another; unity where one has no length."""
    if np.linalg.norm(start) < 1e-6:
        return np.eye(3)
    one, other = start / np.linalg.norm(start), end / np.linalg.norm(end)
    cross, cosine = np.cross(one, other), float(one @ other)
    if cosine < -0.999999:
        side = np.cross(one, [1.0, 0.0, 0.0] if abs(one[0]) < 0.9 else [0.0, 1.0, 0.0])
        side /= np.linalg.norm(side)
        return 2.0 * np.outer(side, side) - np.eye(3)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + cosine)


def substitution(entering: str, leaving: str, place: float) -> Made:
    """Return a point on the way X- + CH3Y -> XCH3 + Y-, from -1 to 1 along it.

    X and Y are keys of `molecules.NUCLEOPHILES`, with the hydrogens that belong to them.
    """
    radii = {s: covalent_radii[chemical_symbols.index(s)] for s in ("C", entering, leaving)}
    height = -0.36 * place  # of carbon's hydrogens over its plane
    ring = np.sqrt(1.09**2 - height**2)
    hydrogens = [
        (ring * np.cos(angle), ring * np.sin(angle), height)
        for angle in 2 * np.pi * np.arange(3) / 3
    ]
    far = 1.25 + 0.25 * np.array([-place, place])
    ends = [
        (0.0, 0.0, side * stretch * (radii["C"] + radii[symbol]))
        for side, stretch, symbol in zip((1.0, -1.0), far, (entering, leaving), strict=True)
    ]
    symbols = ["C", "H", "H", "H", entering, leaving]
    positions = [(0.0, 0.0, 0.0), *hydrogens, *ends]
    for symbol, end in zip((entering, leaving), ends, strict=True):
        own = _hydrogens_of(symbol, end)
        symbols += ["H"] * len(own)
        positions += own
    attacking = molecules.NUCLEOPHILES[entering]
    atoms = Atoms(symbols, positions, info={"charge": -attacking.count("-")})
    return atoms, ".".join(sorted([attacking, f"C{leaving}"]))


def _hydrogens_of(symbol: str, end: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    """Return the hydrogens of OH, SH and NH3, away from carbon at the origin."""
    count = {"O": 1, "S": 1, "N": 3}.get(symbol, 0)
    length = covalent_radii[1] + covalent_radii[chemical_symbols.index(symbol)]
    outward = np.sign(end[2]) * length * np.cos(np.radians(72.0))
    across = length * np.sin(np.radians(72.0))
    # Staggered to those of carbon.
    angles = np.pi / 3 + 2 * np.pi * np.arange(count) / 3
    return [(across * np.cos(a), across * np.sin(a), end[2] + outward) for a in angles]


def stretched(atoms: Atoms, factor: float, generator: np.random.Generator) -> Atoms:
    """Return a molecule with a bond, that is in no ring, `factor` times as long."""
    bonds = Molecules(atoms)
    cuts = []
    for one in range(len(atoms)):
        for other, _ in bonds.neighbours[one]:
            side = _side(bonds, other, one)
            if one not in side and len(side) <= len(atoms) / 2:
                cuts.append((one, other, sorted(side)))
    if not cuts:
        return atoms
    one, other, side = cuts[int(generator.integers(len(cuts)))]
    result = atoms.copy()
    result.positions[side] += (factor - 1.0) * (atoms.positions[other] - atoms.positions[one])
    return result


def _side(bonds: Molecules, start: int, without: int) -> set[int]:
    """Return the atoms that are reached from one when its bond to another is cut."""
    found, waiting = {start}, [start]
    while waiting:
        atom = waiting.pop()
        for other, _ in bonds.neighbours[atom]:
            if {atom, other} != {start, without} and other not in found:
                found.add(other)
                waiting.append(other)
    return found
