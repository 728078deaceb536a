"""What visitors send: names, SMILES, drawings and files. Nothing of it is used as a path.

Files are written under a name of the server's own into a private folder that is gone afterwards;
the visitor's name tells no more than the format.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deepdft.density import Density
from deepdft.errors import DeepDFTError, did_you_mean
from deepdft.storage.compression import Codec, DecompressedFile, codec_of_name
from deepdft.structures import ReadOptions, Structure, read_structures
from deepdft.web.examples import examples, find_example
from deepdft.web.limits import Limits
from deepdft.web.private_files import private_folder
from deepdft.web.problems import Refusal

_STRUCTURES = ("xyz", "extxyz", "cif", "pdb", "ent", "sdf", "sd", "mol", "res")
"""Suffixes of structure files; all of these are text that is parsed and nothing else."""

_DENSITIES = ("cube", "cub", "xsf")
"""Suffixes of density files, likewise."""

_POSCAR = re.compile(r"(^|[._\s-])(poscar|contcar|vasp)([._\s-]|$)", re.IGNORECASE)
_CHGCAR = re.compile(r"(^|[._\s-])(chgcar|chg|aeccar\d?|parchg)([._\s-]|$)", re.IGNORECASE)

_PIECE = 1 << 20


def named_structure(name: str) -> Structure:
    """Return an example by key or name.

    Raises:
        Refusal: if there is none.
    """
    example = find_example(name)
    return Structure(example.name, example.atoms.copy())


def structure_of_smiles(smiles: str, limits: Limits, charge: int | None = None) -> Structure:
    """Return a structure for a SMILES string.

    Raises:
        DeepDFTError: if it is none, or too large.
    """
    from deepdft.structures.meaning import understood
    from deepdft.structures.smiles import reading_from_smiles

    smiles = smiles.strip()
    _check_drawing(smiles, limits)
    reading = reading_from_smiles(smiles)
    return _small_enough(understood(reading, smiles, ReadOptions(charge)), limits)


def structure_of_drawing(block: str, limits: Limits, charge: int | None = None) -> Structure:
    """Return a structure for the MOL block of the editor.

    Raises:
        DeepDFTError: if it is none, or too large.
    """
    from deepdft.structures.meaning import understood
    from deepdft.structures.smiles import reading_from_drawing

    _check_drawing(block, limits, drawing=True)
    reading = reading_from_drawing(block, "the drawing")
    structure = understood(reading, "drawing", ReadOptions(charge))
    return _small_enough(replace(structure, name=structure.atoms.get_chemical_formula()), limits)


def _check_drawing(text: str, limits: Limits, *, drawing: bool = False) -> None:
    """Refuse what a geometry would take too long to be built for."""
    from deepdft.extras import require_extra

    require_extra("rdkit", "Reading SMILES and drawings")
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    if "\0" in text:
        raise Refusal("The text holds a character that is none.")
    molecule = Chem.MolFromMolBlock(text) if drawing else Chem.MolFromSmiles(text)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise Refusal("The drawing holds no molecule." if drawing else _no_smiles(text[:80]))
    count = molecule.GetNumAtoms()
    if count > limits.drawn_atoms:
        raise Refusal(
            f"A geometry is built for at most {limits.drawn_atoms} atoms besides hydrogen, and "
            f"this has {count}; send a file with positions.",
            413,
        )


def _no_smiles(text: str) -> str:
    """Return what to say to a text that is neither SMILES nor the name of an example."""
    names = [example.name.partition(",")[0].casefold() for example in examples().values()]
    meant = did_you_mean(text.casefold(), names) or " Pick an example, or draw the molecule."
    return f"'{text}' is no valid SMILES string.{meant}"


def read_upload(
    name: str, content: bytes, limits: Limits, charge: int | None = None
) -> Structure | Density:
    """Return the first structure or the density in a file.

    Args:
        name: what the visitor calls it; tells the format.
        content: its bytes.
        limits: see `Limits`.
        charge: net charge, where the file does not say it.

    Raises:
        DeepDFTError: if it is of no known format, damaged or too large.
    """
    shown = re.sub(r"[^\w .()+-]", "_", name.replace("\\", "/").rsplit("/", 1)[-1])[-80:] or "file"
    codec, plain = codec_of_name(shown), shown
    if codec is not None:
        content = _expanded(content, codec, limits, shown)
        plain = shown[: -len(codec.suffix)]
    if not content.strip():
        raise Refusal(f"{shown} is empty.")
    known = _known_name(plain)
    if known is None:
        raise Refusal(
            f"The format of {shown} is not known here; structures: xyz, cif, POSCAR, pdb, sdf, "
            "mol; densities: cube, CHGCAR, xsf.",
            415,
        )
    is_density, own_name = known
    with _private_file(own_name, content) as path, _renamed(path, shown):
        if is_density:
            return _density(path, shown, limits)
        structure = next(read_structures(path, ReadOptions(charge)), None)
        if structure is None:
            raise Refusal(f"{shown} holds no structure.")
        return _small_enough(replace(structure, name=Path(plain).stem or plain), limits)


def _known_name(name: str) -> tuple[bool, str] | None:
    """Return whether a name is of a density, and what the file is called here."""
    suffix = name.rpartition(".")[2].casefold()
    if suffix in _DENSITIES:
        return True, f"density.{suffix}"
    if suffix in _STRUCTURES:
        return False, f"structure.{suffix}"
    if _CHGCAR.search(name):
        return True, "CHGCAR"
    if _POSCAR.search(name):
        return False, "POSCAR"
    return None


def _density(path: Path, shown: str, limits: Limits) -> Density:
    from deepdft.formats import read

    density = read(path)
    quantity = density.metadata.get("quantity", "density")
    if quantity not in ("density", "difference-density", "partial-density"):
        raise Refusal(f"{shown} holds no electron density but {quantity}.")
    if len(density.atoms) > limits.atoms:
        raise _too_many_atoms(len(density.atoms), limits)
    return density


def _small_enough(structure: Structure, limits: Limits) -> Structure:
    if len(structure.atoms) > limits.atoms:
        raise _too_many_atoms(len(structure.atoms), limits)
    return structure


def _too_many_atoms(count: int, limits: Limits) -> Refusal:
    return Refusal(
        f"This page takes at most {limits.atoms} atoms, and there are {count}; 'deepdft predict' "
        "on the command line takes any number.",
        413,
    )


def _expanded(content: bytes, codec: Codec, limits: Limits, shown: str) -> bytes:
    result = bytearray()
    file = DecompressedFile(io.BytesIO(content), codec, shown)
    while piece := file.read(_PIECE):
        result += piece
        if len(result) > limits.upload_bytes:
            raise Refusal(
                f"{shown} expands to more than {limits.upload_bytes >> 20} MB; that is the limit "
                "of this server.",
                413,
            )
    return bytes(result)


@contextmanager
def _private_file(name: str, content: bytes) -> Iterator[Path]:
    with private_folder() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


@contextmanager
def _renamed(path: Path, shown: str) -> Iterator[None]:
    """Say the visitor's name of a file in errors, not where it lies here."""
    try:
        yield
    except Refusal:
        raise
    except DeepDFTError as error:
        sentence = str(error).replace(str(path), shown).replace(str(path.parent), "")
        raise Refusal(sentence) from None
    except (ValueError, IndexError, KeyError, OverflowError, ArithmeticError, RecursionError):
        raise Refusal(f"{shown} is damaged: it cannot be read as what its name says.") from None
