"""What the server does for its visitors, without a word of HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deepdft.density import Density
from deepdft.structures import Structure
from deepdft.structures.smiles import interrupted_by
from deepdft.web.answers import ComparisonRequest, PredictionRequest
from deepdft.web.inputs import (
    named_structure,
    read_upload,
    structure_of_drawing,
    structure_of_smiles,
)
from deepdft.web.jobs import Job, JobQueue
from deepdft.web.limits import Limits
from deepdft.web.models import Models
from deepdft.web.other_work import compare, show
from deepdft.web.prediction import predict
from deepdft.web.problems import Refusal
from deepdft.web.results import Result


class Service:
    """Takes in requests as jobs and hands out their results.

    Args:
        limits: what one visitor may ask for.
        models: what densities are predicted with.

    Attributes:
        limits: what one visitor may ask for.
        models: what densities are predicted with.
        queue: the jobs.
        drawing: as many surfaces and files as this are made at the same time.
    """

    def __init__(self, limits: Limits, models: Models) -> None:
        self.limits = limits
        self.models = models
        self.queue = JobQueue(limits)
        self.drawing = threading.BoundedSemaphore(2)

    def predict(self, request: PredictionRequest) -> Job:
        """Take in a prediction.

        Raises:
            Refusal: if not exactly one structure is asked for, or the queue is full.
        """
        given = [request.example, request.smiles, request.drawing, request.structure_of]
        if sum(one is not None for one in given) != 1:
            raise Refusal("Send exactly one of example, smiles, drawing and structure_of.")
        if request.model is not None and request.model not in self.models.names:
            raise Refusal(
                f"There is no model '{request.model[:80]}' here ({', '.join(self.models.names)}).",
                404,
            )
        structure = self._structure(request)

        def work(job: Job) -> None:
            job.begin("reading the structure")
            with interrupted_by(job.check):
                found = structure()
            predict(job, found, self.models, self.limits, request.model)

        return self.queue.submit("prediction", work)

    def _structure(self, request: PredictionRequest) -> Callable[[], Structure]:
        """Return what makes the structure; what takes no time is done now."""
        if request.example is not None:
            named = named_structure(request.example)
            return lambda: named
        if request.structure_of is not None:
            result = self.result(request.structure_of)
            known = Structure(result.name, result.atoms.copy(), result.notes)
            return lambda: known
        if request.smiles is not None:
            smiles = request.smiles
            return lambda: structure_of_smiles(smiles, self.limits, request.charge)
        drawing = request.drawing or ""
        return lambda: structure_of_drawing(drawing, self.limits, request.charge)

    def open_file(
        self, name: str, content: bytes, model: str | None = None, charge: int | None = None
    ) -> Job:
        """Take in a file: of a structure, whose density is predicted, or of a density.

        Raises:
            Refusal: if the queue is full.
        """

        def work(job: Job) -> None:
            job.begin("reading the file")
            with interrupted_by(job.check):
                found = read_upload(name, content, self.limits, charge)
            if isinstance(found, Density):
                job.kind = "file"
                show(job, name, found, self.limits)
            else:
                predict(job, found, self.models, self.limits, model)

        return self.queue.submit("prediction", work)

    def compare(self, request: ComparisonRequest) -> Job:
        """Take in a comparison.

        Raises:
            Refusal: if one of the two is not there, or the queue is full.
        """
        density, reference = self.result(request.density), self.result(request.reference)
        for result in (density, reference):
            result.field_named("density")

        def work(job: Job) -> None:
            compare(job, density, reference, mix_levels=request.mix_levels)

        return self.queue.submit("comparison", work)

    def result(self, key: str) -> Result:
        """Return what there is to see of a job.

        Raises:
            Refusal: if there is no such job, or nothing to see yet.
        """
        job = self.queue.find(key)
        if not isinstance(job.result, Result):
            raise Refusal("There is nothing to see of this yet; try again in a moment.", 409)
        return job.result
