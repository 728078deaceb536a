"""The description of the addresses: whatever it allows gets no answer that is a defect."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
)

from tests.web.conftest import TOKEN, guarded  # noqa: E402

HEADERS = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}"}
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def operations(models):
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", guarded(models), headers=HEADERS)
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{one.method.upper()} {one.path}": one for one in found}


def test_all_addresses_are_described(operations):
    assert "POST /api/jobs" in operations
    assert "GET /api/jobs/{key}/surface" in operations
    assert len(operations) >= 12


def test_no_request_is_too_strange(operations):
    for operation in operations.values():

        @settings(
            max_examples=10,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(checks=CHECKS, headers=HEADERS)

        ask()
