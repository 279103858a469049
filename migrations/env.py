"""How Alembic runs: one transaction a revision, the URL given by canteen.db.upgrade."""

from __future__ import annotations

from alembic import context

from canteen import events as _events  # noqa: F401
from canteen import heartbeats as _heartbeats  # noqa: F401
from canteen import invariants
from canteen import jobs as _jobs  # noqa: F401
from canteen import keychecks as _keychecks  # noqa: F401
from canteen import names as _names  # noqa: F401
from canteen import places as _places  # noqa: F401
from canteen.auth import models as _auth  # noqa: F401 - each import fills the metadata
from canteen.db import Base, owner_engine
from canteen.ledger import models as _ledger  # noqa: F401
from canteen.menus import models as _menus  # noqa: F401
from canteen.pos import models as _pos  # noqa: F401
from canteen.registry import models as _registry  # noqa: F401
from canteen.registry.applications import models as _applications  # noqa: F401
from canteen.rulebooks import models as _rulebooks  # noqa: F401
from canteen.settlement import models as _settlement  # noqa: F401

url = context.config.attributes["url"]
engine = owner_engine(url.render_as_string(hide_password=False))
with engine.connect() as connection:
    if connection.dialect.name == "postgresql":
        invariants.make_roles(connection)
        connection.exec_driver_sql(f"GRANT USAGE, CREATE ON SCHEMA public TO {invariants.OWNER}")
        connection.commit()
        connection.exec_driver_sql(f"SET ROLE {invariants.OWNER}")
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
