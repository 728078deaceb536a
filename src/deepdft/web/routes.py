"""The addresses below /api: what each takes and what it answers."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

import deepdft
from deepdft.extras import is_installed
from deepdft.web.answers import (
    AboutAnswer,
    ComparisonRequest,
    ExampleAnswer,
    JobStatus,
    PredictionRequest,
    ResultAnswer,
)
from deepdft.web.drawings import Drawing, slice_of, surface
from deepdft.web.examples import examples
from deepdft.web.pictures import Look, picture
from deepdft.web.private_files import private_folder
from deepdft.web.problems import Problem
from deepdft.web.report import report
from deepdft.web.results import FieldName
from deepdft.web.service import Service
from deepdft.web.structures import DrawnStructure, drawn_structure, formula_of

# Named rather than given as a model: FastAPI would announce it in each answer's own media type.
_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": "A sentence on what is wrong.", "content": _PROBLEM}
    for status in (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 501, 503)
}
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_BYTES: dict[int | str, dict[str, Any]] = {200: {"content": _BINARY}}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_SUFFIXES = {"cube": ".cube", "chgcar": ".CHGCAR", "xsf": ".xsf", "npz": ".npz"}

_LONGEST_WAIT = 2.0
_LOOK = 0.01
"""Seconds between two looks at a job for somebody who waits."""

router = APIRouter(prefix="/api", responses=_REFUSALS)

Key = Annotated[str, PathParameter(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Name = Annotated[FieldName, Query(alias="field", description="The field.")]

Cells = Annotated[
    str,
    Query(pattern=r"^[1-4]x[1-4]x[1-4]$", description="How many cells of a crystal are shown."),
]


def _counts(cells: str) -> tuple[int, int, int]:
    a, b, c = (int(count) for count in cells.split("x"))
    return a, b, c


def _drawing(
    level: Annotated[
        float,
        Query(gt=0, le=1e6, allow_inf_nan=False, description="Value on the surface, e/Å³ or V."),
    ],
    name: Name = "density",
    colour: Annotated[FieldName | None, Query(description="A field to colour it by.")] = None,
    cells: Cells = "1x1x1",
) -> Drawing:
    return Drawing(level, name, colour, _counts(cells))


Asked = Annotated[Drawing, Depends(_drawing)]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]


@router.get("/about", responses={500: {"model": Problem}})
def about(service: Serving) -> AboutAnswer:
    """Say what this server is and what it allows."""
    return AboutAnswer(
        version=deepdft.__version__,
        models=service.models.names,
        drawing=is_installed("rdkit"),
        limits=vars(service.limits),
    )


@router.get("/examples")
def list_examples() -> list[ExampleAnswer]:
    """List the structures that come with the page."""
    return [
        ExampleAnswer(
            key=one.key,
            name=one.name,
            kind=one.kind,
            words=one.words,
            formula=formula_of(one.atoms, one.kind == "crystal"),
            atoms=len(one.atoms),
        )
        for one in examples().values()
    ]


@router.post("/jobs", status_code=202)
def start(request: PredictionRequest, service: Serving) -> JobStatus:
    """Ask for the density of a structure."""
    return JobStatus.of(service.predict(request), service.queue)


@router.post(
    "/files",
    status_code=202,
    openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
)
async def send_file(
    request: Request,
    service: Serving,
    name: Annotated[str, Query(min_length=1, max_length=200, description="Name of the file.")],
    model: Annotated[str | None, Query(max_length=500)] = None,
    charge: Annotated[int | None, Query(ge=-20, le=20)] = None,
) -> JobStatus:
    """Send a structure file, whose density is then predicted, or a density file to show."""
    content = await request.body()
    job = await run_in_threadpool(service.open_file, name, content, model, charge)
    return JobStatus.of(job, service.queue)


@router.post("/comparisons", status_code=202)
def start_comparison(request: ComparisonRequest, service: Serving) -> JobStatus:
    """Ask how far a density is from a reference."""
    return JobStatus.of(service.compare(request), service.queue)


@router.get("/jobs/{key}")
async def status(
    key: Key,
    service: Serving,
    revision: Annotated[int | None, Query(ge=0, description="The one that is known.")] = None,
    wait: Annotated[
        float, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for another revision.")
    ] = 0.0,
) -> JobStatus:
    """Say where a job stands; with `wait`, as soon as there is more to see, or after that time."""
    job = service.queue.find(key)
    end = time.monotonic() + wait
    while job.revision == revision and not job.is_over and time.monotonic() < end:
        await asyncio.sleep(_LOOK)
    return JobStatus.of(job, service.queue)


@router.delete("/jobs/{key}", status_code=204, response_class=Response)
def stop(key: Key, service: Serving) -> None:
    """Stop a job and forget what it made."""
    service.queue.remove(key)


@router.post("/jobs/{key}/halt")
def halt(key: Key, service: Serving) -> JobStatus:
    """Stop a job and keep what it made so far."""
    job = service.queue.find(key)
    job.stop()
    return JobStatus.of(job, service.queue)


@router.get("/jobs/{key}/result")
def result(key: Key, service: Serving) -> ResultAnswer:
    """Tell what there is to see so far."""
    return ResultAnswer.of(service.result(key))


@router.get("/jobs/{key}/structure")
def structure(key: Key, service: Serving, cells: Cells = "1x1x1") -> DrawnStructure:
    """Tell what is drawn of several cells of a crystal."""
    return drawn_structure(service.result(key).scene_of(_counts(cells)))


@router.get("/jobs/{key}/surface", response_class=Response, responses=_BYTES)
def get_surface(key: Key, service: Serving, drawing: Asked) -> Response:
    """Return an isosurface, see `deepdft.web.drawings`."""
    with service.drawing:
        content = surface(service.result(key), drawing)
    return Response(content, media_type="application/octet-stream")


@router.get("/jobs/{key}/picture", response_class=Response, responses=_PICTURE)
def get_picture(
    key: Key,
    service: Serving,
    drawing: Asked,
    turn: Annotated[float, Query(ge=-360, le=360, description="Degrees to the right.")] = 0.0,
    tilt: Annotated[float, Query(ge=-360, le=360, description="Degrees upwards.")] = 0.0,
    zoom: Annotated[float, Query(ge=1, le=3, description="Nearer than what shows all.")] = 1.0,
    pixels: Annotated[int, Query(ge=100, le=1200, description="Of the longer side.")] = 640,
    opacity: Annotated[float, Query(ge=0.05, le=1, description="Of the surface.")] = 0.5,
) -> Response:
    """Return an isosurface with its atoms as a picture, for whoever draws none."""
    with service.drawing:
        look = Look(turn, tilt, zoom, pixels, opacity)
        content = picture(service.result(key), drawing, look)
    return Response(content, media_type="image/png")


@router.get("/jobs/{key}/slice", response_class=Response, responses=_BYTES)
def get_slice(
    key: Key,
    service: Serving,
    axis: Annotated[int, Query(ge=0, le=2, description="Along which it is cut.")],
    position: Annotated[float, Query(ge=0, le=1, description="Where: fraction of all cells.")],
    name: Name = "density",
    cells: Cells = "1x1x1",
) -> Response:
    """Return a slice, see `deepdft.web.drawings`."""
    with service.drawing:
        content = slice_of(service.result(key), name, axis, position, _counts(cells))
    return Response(content, media_type="application/octet-stream")


@router.get("/jobs/{key}/file", response_class=FileResponse, responses=_BYTES)
def get_file(
    key: Key,
    service: Serving,
    format: Annotated[Literal["cube", "chgcar", "xsf", "npz"], Query()] = "cube",
    name: Name = "density",
) -> FileResponse:
    """Return a field as a file of another program."""
    found = service.result(key)
    density = found.field_named(name)
    stem = re.sub(r"[^A-Za-z0-9]+", "_", found.name).strip("_")[:40] or "structure"
    folder = private_folder()
    path = Path(folder.name) / f"density{_SUFFIXES[format]}"
    try:
        with service.drawing:
            density.write(path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"{stem}_{name}{_SUFFIXES[format]}",
        background=BackgroundTask(folder.cleanup),
    )


@router.get("/jobs/{key}/report", response_class=HTMLResponse)
def get_report(key: Key, service: Serving) -> HTMLResponse:
    """Return a short report as one HTML file."""
    return HTMLResponse(report(service.result(key)), headers={"content-disposition": "attachment"})
