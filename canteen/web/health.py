"""/healthz for balancers and people who wait for a start; /metrics for Prometheus, on this machine or by right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Flask, Response, current_app, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from canteen.db import db
from canteen.web.doors import allowed, public

REQUESTS = Counter("canteen_requests_total", "Requests answered.", ["method", "endpoint", "status"])
SECONDS = Histogram(
    "canteen_request_seconds",
    "Seconds from the request's arrival to its answer.",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@public("balancers ask it; it says only whether we can serve")
def healthz() -> tuple[dict[str, Any], int]:
    """Answer 200 when the database answers, else 503; with the codes of troubles in spite of which we serve.

    A balancer takes a host out that answers otherwise than 200. That no scheduler looks is no fault of this host, and
    meals are sold all the same: taking every host out would turn a late close into a stop of all counters.
    """
    try:
        db.session.execute(text("SELECT 1"))
        troubles = [code for look in current_app.extensions["canteen_troubles"] if (code := look())]
    except DBAPIError:
        db.session.rollback()
        return {"status": "database_away"}, 503
    return {"status": "ok", **({"troubles": troubles} if troubles else {})}, 200


@allowed("see_system", loopback=True)
def metrics() -> Response:
    """Answer counts and times of requests; of all worker processes when PROMETHEUS_MULTIPROC_DIR is set."""
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    body = generate_latest(registry) + generate_latest(_read())
    return Response(body, content_type=CONTENT_TYPE_LATEST)


def _read() -> CollectorRegistry:
    """Return the metrics that are read from the database, not counted in this process."""
    registry = CollectorRegistry()
    registry.register(_Figures(current_app.extensions["canteen_figures"]()))
    return registry


class _Figures(Collector):
    def __init__(self, figures: Mapping[str, tuple[str, float]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (says, value) in self._figures.items():
            yield GaugeMetricFamily(name, says, value)


def register(
    app: Flask,
    *troubles: Callable[[], str | None],
    figures: Callable[[], Mapping[str, tuple[str, float]]] = dict,
) -> None:
    """Add both addresses, and count every request. Each of `troubles` looks for one and answers its code, or None.

    figures   gauges for /metrics that are read from the database: what each says and its value, by name
    """
    app.extensions["canteen_figures"] = figures
    app.extensions["canteen_troubles"] = troubles
    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/metrics", "metrics", metrics)
    app.before_request(_begin)
    app.after_request(_count)


def _begin() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    endpoint, method = request.endpoint or "none", request.method
    REQUESTS.labels(method if method in METHODS else "other", endpoint, str(response.status_code)).inc()
    if (began := g.pop("began", None)) is not None:
        SECONDS.labels(endpoint).observe(time.perf_counter() - began)
    return response
