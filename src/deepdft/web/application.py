"""The web application, guarded and with sentences for errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import deepdft
from deepdft.errors import DeepDFTError
from deepdft.web.guard import Guard
from deepdft.web.limits import Limits
from deepdft.web.models import Models
from deepdft.web.private_files import remove_leftovers
from deepdft.web.problems import refusal_of
from deepdft.web.routes import router
from deepdft.web.service import Service
from deepdft.web.warm_up import warm_up

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""

_LOG = logging.getLogger("deepdft.web")


def application(
    token: str,
    *,
    hosts: Iterable[str] = LOOPBACK,
    limits: Limits | None = None,
    models: Models | None = None,
    cookie: str = "deepdft",
    warmed_up: bool = True,
) -> Guard:
    """Return the application, which nobody but who has the token may use.

    Args:
        token: opens the page.
        hosts: host names that it answers to.
        limits: what one visitor may ask for.
        models: what densities are predicted with.
        cookie: name of the cookie that keeps the token.
        warmed_up: in the background when it starts, see `deepdft.web.warm_up`.
    """
    limits = limits or Limits()
    service = Service(limits, models or Models())
    inner = _application(service, warmed_up)
    return Guard(inner, token, hosts, limits.upload_bytes, cookie)


def _application(service: Service, warmed_up: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        remove_leftovers()
        if warmed_up:
            threading.Thread(target=warm_up, args=(service,), daemon=True).start()
        yield
        service.queue.close()

    # The pages that FastAPI makes of a description load scripts from the internet.
    inner = FastAPI(
        title="deepdft",
        version=deepdft.__version__,
        description="Electron densities of molecules and crystals.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    inner.state.service = service
    inner.include_router(router)
    page, viewer = files("deepdft.web") / "page", files("deepdft.plotting") / "viewer"
    inner.mount("/viewer", StaticFiles(directory=str(viewer)), name="viewer")

    @inner.get("/", include_in_schema=False)
    def front() -> Response:
        return FileResponse(str(page / "index.html"), headers={"cache-control": "no-cache"})

    inner.mount("/", StaticFiles(directory=str(page)), name="page")
    for kind in (DeepDFTError, OSError, MemoryError, RuntimeError, ImportError):
        inner.add_exception_handler(kind, _refused)
    inner.add_exception_handler(RequestValidationError, _invalid)
    inner.add_exception_handler(HTTPException, _http_problem)
    inner.add_exception_handler(Exception, _defect)
    return inner


def _refused(request: Request, error: Exception) -> JSONResponse:
    found = refusal_of(error)
    if found is None:
        return _defect(request, error)
    return JSONResponse({"error": found[0]}, found[1])


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    sentence = f"{where or 'The request'}: {first['msg']}."
    return JSONResponse({"error": sentence}, 422)


def _http_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    words = HTTPStatus(error.status_code).phrase
    return JSONResponse({"error": f"{words}."}, error.status_code, error.headers)


def _defect(_: Request, error: Exception) -> JSONResponse:
    _LOG.error("a request failed", exc_info=error)
    sentence = "Something went wrong here that should not; the server's log has it."
    return JSONResponse({"error": sentence}, 500)
