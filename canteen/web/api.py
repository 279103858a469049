"""The API of programs: OpenAPI 3.1 at /api/v1/openapi.json, schemas that refuse what they do not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, Request, Response, request
from flask_smorest import Api as SmorestApi
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE, Schema, fields
from webargs.flaskparser import FlaskParser

from canteen.web.doors import list_public

V = TypeVar("V", bound=Callable[..., Any])

PREFIX = "/api/v1"
TABLET_HEADERS = (
    "X-Tablet, X-Tablet-At (the tablet's clock; then, each after a semicolon, epoch and number of its newest record, "
    "its monotonic clock in ms and the id of the page load), X-Tablet-Signature (P-256, SHA-256, base64url of r and s)"
)


class Strict(Schema):
    """A schema that refuses fields it does not know."""

    class Meta:
        unknown = RAISE


class Problem(Schema):
    """RFC 9457. `code` is stable, `detail` is a Chinese sentence for people."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    details = fields.Dict()


class Parser(FlaskParser):
    """Reads JSON; what the decoder gives up on (too many digits, nested too deep) is malformed like any other."""

    def _raw_load_json(self, req: Request) -> Any:
        try:
            return super()._raw_load_json(req)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """Doors of programs; their arguments are read by `Parser`."""

    ARGUMENTS_PARSER = Parser()

    def reads(self, schema: type[Schema], reader: Callable[[Any], Any]) -> Callable[[V], V]:
        """Read the body by `reader`, quicker than `schema`, which describes it and judges whatever `reader` refuses.

        reader   returns what the schema would; raises ValueError, also for bodies that the schema takes
        """
        judge = self.arguments(schema)

        def decorate(view: V) -> V:
            judged = judge(view)

            @wraps(judged)
            def read(*args: Any, **kwargs: Any) -> Any:
                try:
                    found = reader(json.loads(request.get_data().decode()))
                except (ValueError, RecursionError):
                    return judged(*args, **kwargs)
                return view(found, *args, **kwargs)

            return cast("V", read)

        return decorate


def answer(content: object) -> Response:
    """Answer 200 with JSON."""
    return Response(_write(content), mimetype="application/json")


_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Api(SmorestApi):  # type: ignore[misc]
    """flask-smorest, with errors answered by canteen.web.errors alone."""

    ERROR_SCHEMA = Problem

    def _register_error_handlers(self) -> None:
        """Register no handlers of flask-smorest's own."""


def register(app: Flask) -> Api:
    """Describe the API of `app`; blueprints of flask-smorest are registered on what this answers."""
    app.config.setdefault("API_TITLE", "敬老餐厅助餐与补贴结算")
    app.config.setdefault("API_VERSION", "v1")
    app.config.setdefault("OPENAPI_VERSION", "3.1.0")
    app.config.setdefault("OPENAPI_URL_PREFIX", PREFIX)
    app.config.setdefault("OPENAPI_JSON_PATH", "openapi.json")
    options: dict[str, Any] = {"info": {"description": f"Tablets sign their requests: {TABLET_HEADERS}."}}
    app.config.setdefault("API_SPEC_OPTIONS", options)
    api = Api(app)
    list_public(app, "api-docs.openapi_json", "the description of the API holds no data")
    return api
