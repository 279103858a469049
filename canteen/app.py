"""create_app: the only place where everything meets."""

from __future__ import annotations

from flask import Flask

from canteen import clock, config, db, heartbeats
from canteen.auth import audit_pages, change_pages, guard, pins
from canteen.auth import pages as auth_pages
from canteen.auth import tablet_pages as tablet_desk
from canteen.config import ROOT, Config
from canteen.menus import pages as menu_pages
from canteen.menus import point_pages as _point_pages  # noqa: F401 - on the blueprint of the menu
from canteen.pos import acknowledgements, behind_notices, tablets_api
from canteen.pos import api as pos_api
from canteen.pos import eaters as _eaters  # noqa: F401 - asked by imports that are taken back
from canteen.pos import pages as tablet_pages
from canteen.registry import api as card_counter
from canteen.registry import card_pages, import_pages, pages
from canteen.registry.applications import pages as application_pages
from canteen.ruledesk.desk import pages as rule_pages
from canteen.ruledesk.desk import revaluation_pages, simulation_pages
from canteen.services import complaint_pages
from canteen.settlement.desk import day_pages, lost_pages, refund_pages, setting_pages, unproven_pages
from canteen.settlement.desk import pages as settlement_pages
from canteen.web import api as web_api
from canteen.web import errors, filters, health, numbers, security, vendor


def create_app(settings: Config | None = None) -> Flask:
    """Build the application for `settings`, or for what the environment says.

    The database is not read; a process calls `startup.check` before it works. Raises BadSetting when a setting is wrong.
    """
    settings = settings or config.from_environment()
    app = Flask("canteen", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    app.config.update(
        CANTEEN=settings,
        TESTING=settings.testing,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=db.engine_options(settings),
    )
    db.db.init_app(app)
    _edges(app, settings)
    if settings.production:
        clock.forbid_moving()
    with app.app_context():
        pins.warm_up()
    return app


def _edges(app: Flask, settings: Config) -> None:
    """Register everything that answers requests from outside."""
    numbers.register(app)
    security.register(app, settings)
    errors.register(app)
    filters.register(app)
    health.register(app, acknowledgements.trouble, heartbeats.trouble, figures=heartbeats.figures)
    vendor.register(app)
    guard.register(app)
    behind_notices.register(app)
    api = web_api.register(app)
    for part in (tablets_api.bp, pos_api.bp, card_counter.bp):
        api.register_blueprint(part)
    registry_pages = (menu_pages.bp, pages.bp, application_pages.bp, card_pages.bp, import_pages.bp)
    claim_pages = (settlement_pages.bp, day_pages.bp, lost_pages.bp, unproven_pages.bp, refund_pages.bp)
    desk_pages = (*claim_pages, rule_pages.bp, simulation_pages.bp, revaluation_pages.bp)
    for page in (
        auth_pages.bp,
        audit_pages.bp,
        change_pages.bp,
        setting_pages.bp,
        tablet_desk.bp,
        tablet_pages.bp,
        *desk_pages,
        *registry_pages,
        complaint_pages.bp,
    ):
        app.register_blueprint(page)
    guard.refuse_undoored(app)
