"""Reference calculations: from structures to their DFT densities with open programs.

from deepdft.dft import create_calculation, read_inputs, run_campaign

calculation = create_calculation("pyscf", ["functional=PBE"])
run_campaign(read_inputs(["molecules/"]), calculation, "densities", jobs=2)
"""

from deepdft.dft.calculation import CalculatedDensity, CalculationSettings, ReferenceCalculation
from deepdft.dft.campaign import CampaignProgress, run_campaign
from deepdft.dft.inputs import read_inputs
from deepdft.dft.manifest import Manifest, StructureRecord, read_manifest
from deepdft.dft.programs import PROGRAMS, create_calculation

__all__ = [
    "PROGRAMS",
    "CalculatedDensity",
    "CalculationSettings",
    "CampaignProgress",
    "Manifest",
    "ReferenceCalculation",
    "StructureRecord",
    "create_calculation",
    "read_inputs",
    "read_manifest",
    "run_campaign",
]
