"""What the server answers with, as the OpenAPI description has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deepdft.web.jobs import Job, JobQueue
from deepdft.web.results import FieldName, Quality, Result
from deepdft.web.structures import DrawnStructure, drawn_structure, formula_of


class PredictionRequest(BaseModel):
    """A structure whose density is wanted: exactly one of the first four."""

    model_config = ConfigDict(extra="forbid")

    example: str | None = Field(None, max_length=200, description="Key or name of an example.")
    smiles: str | None = Field(None, max_length=2000, description="A SMILES string.")
    drawing: str | None = Field(None, max_length=100_000, description="A MOL block.")
    structure_of: str | None = Field(
        None, max_length=64, description="Key of a job whose structure is taken."
    )
    model: str | None = Field(None, max_length=500, description="Model; by default chosen.")
    charge: int | None = Field(None, ge=-20, le=20, description="Net charge, e.")


class ComparisonRequest(BaseModel):
    """Two jobs whose densities are compared."""

    model_config = ConfigDict(extra="forbid")

    density: str = Field(max_length=64, description="Key of the job of the density.")
    reference: str = Field(max_length=64, description="Key of the job of the reference.")
    mix_levels: bool = Field(False, description="Compare although the levels of theory differ.")


class JobStatus(BaseModel):
    """Where a job stands."""

    key: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    position: int = Field(description="Place in the queue, from 1; 0 where it does not wait.")
    stage: str = Field(description="What it does now.")
    points_done: int
    points_total: int = Field(description="0 where points are not counted.")
    points_per_second: float | None
    seconds: float
    revision: int = Field(description="Changes when there is more to see.")
    quality: Quality | None = Field(description="How far what there is to see is.")
    error: str | None
    status: int = Field(description="HTTP status code that goes with the error; else 200.")

    @classmethod
    def of(cls, job: Job, queue: JobQueue) -> JobStatus:
        """Return where a job stands."""
        result: Result | None = job.result
        return cls(
            key=job.key,
            kind=job.kind,
            state=job.state,
            position=queue.position(job),
            stage=job.stage,
            points_done=job.done,
            points_total=job.total,
            points_per_second=job.rate,
            seconds=job.seconds,
            revision=job.revision,
            quality=None if result is None else result.quality,
            error=job.error,
            status=job.status,
        )


class FactAnswer(BaseModel):
    """A number with what it means."""

    name: str
    label: str
    value: float
    unit: str
    words: str
    digits: int


class AtomAnswer(BaseModel):
    """What is known of an atom."""

    element: str
    charge: float | None = Field(description="Atomic charge, e.")
    error: float | None = Field(description="Share of the expected error, electrons.")


class ScaleAnswer(BaseModel):
    """Between which values a field has surfaces, and what they enclose."""

    unit: str
    minimum: float
    maximum: float
    default: float
    levels: list[float]
    shares: list[float]


class ResultAnswer(BaseModel):
    """What there is to see of a job."""

    name: str
    formula: str
    quality: Quality
    periodic: bool
    structure: DrawnStructure
    fields: dict[FieldName, ScaleAnswer]
    grid: list[int] | None
    spacing: list[float] | None = Field(description="Å between points along each axis.")
    facts: list[FactAnswer]
    atoms: list[AtomAnswer]
    model: str
    level: str
    notes: list[str]
    warnings: list[str]

    @classmethod
    def of(cls, result: Result) -> ResultAnswer:
        """Return what there is to see."""
        grid = next((density.grid for density in result.fields.values()), None)
        symbols = result.atoms.get_chemical_symbols()
        known = result.atom_facts or (None,) * len(symbols)
        steps = None if grid is None else (grid.voxel**2).sum(axis=1) ** 0.5
        return cls(
            name=result.name,
            formula=formula_of(result.atoms, result.scene.is_crystal),
            quality=result.quality,
            periodic=result.scene.is_crystal,
            structure=drawn_structure(result.scene),
            fields={name: ScaleAnswer(**vars(scale)) for name, scale in result.scales.items()},
            grid=None if grid is None else list(grid.shape),
            spacing=None if steps is None else steps.round(4).tolist(),
            facts=[FactAnswer(**vars(fact)) for fact in result.facts],
            atoms=[
                AtomAnswer(
                    element=symbol,
                    charge=None if fact is None else fact.charge,
                    error=None if fact is None else fact.error,
                )
                for symbol, fact in zip(symbols, known, strict=True)
            ],
            model=result.model,
            level=result.level,
            notes=list(result.notes),
            warnings=list(result.warnings),
        )


class ExampleAnswer(BaseModel):
    """An example."""

    key: str
    name: str
    kind: Literal["molecule", "crystal"]
    words: str
    formula: str
    atoms: int


class AboutAnswer(BaseModel):
    """What this server is."""

    version: str
    models: list[str]
    drawing: bool = Field(description="Whether SMILES and drawings can be read (RDKit).")
    limits: dict[str, float]
