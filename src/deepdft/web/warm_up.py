"""What a server does before its first visitor asks: load, compile, predict and draw something."""

from __future__ import annotations

import logging
from dataclasses import replace

from deepdft.failures import sentence_of
from deepdft.web.answers import ResultAnswer
from deepdft.web.drawings import Drawing, surface
from deepdft.web.inputs import named_structure
from deepdft.web.jobs import Job
from deepdft.web.prediction import predict
from deepdft.web.results import Result
from deepdft.web.service import Service

_FIRST = {"default": "water", "crystals": "copper"}
"""Models that most visitors need, and what each is tried on."""

_COARSE, _POINTS = 2_000, 30_000
"""Grid points: few, and enough to see how many there are per second."""

_LOG = logging.getLogger("deepdft.web")


def warm_up(service: Service) -> None:
    """Go once through all that a visitor waits for, with each of the usual models.

    Libraries are imported, code is compiled or loaded, and `Models.rate` knows this machine.
    """
    for model, example in _FIRST.items():
        if model not in service.models.names or service.queue.is_closed:
            continue
        try:
            _try(service, model, example)
        except Exception as error:  # what the machine refuses here, it refuses nobody yet
            sentence = sentence_of(error)
            if sentence is None:
                raise
            _LOG.warning("the model %s could not be tried: %s", model, sentence)


def _try(service: Service, model: str, example: str) -> None:
    few = replace(service.limits, coarse_points=_COARSE, points=_POINTS)
    job = Job("prediction", lambda job: None, few.seconds)
    predict(job, named_structure(example), service.models, few, model)
    result: Result = job.result
    ResultAnswer.of(result).model_dump_json()
    surface(result, Drawing(result.scales["density"].default))
