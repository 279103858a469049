"""Lists in JSON that a row holds: what each element must satisfy, and the view that shows the elements as rows.

An element is a list of its fields' values in a fixed order: names would be a third of it. A whole number's name has
' #' after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op


def wrong(column: str, fields: Sequence[str], right: str) -> str:
    """Write the condition that a new row's list has an element that does not satisfy `right`, which names {fields}."""
    conditions = [right.format(**_values(fields))]
    if not _postgresql():  # where a cast would let pass what is no whole number
        conditions += [
            f"typeof({value}) = 'integer'" for name, value in _values(fields).items() if f"{name} #" in fields
        ]
    return f"EXISTS (SELECT 1 FROM {_elements(f'NEW.{column}')} WHERE ({' AND '.join(conditions)}) IS NOT TRUE)"


def rows_of(table: str, column: str, fields: Sequence[str], **kept: str) -> str:
    """Write the query of a row for each element of `column`: columns kept of the table, the place from 1, the fields."""
    columns = [f'{table}."{of}" AS "{name}"' for name, of in kept.items()]
    columns += [f"{'x.n' if _postgresql() else 'x.key + 1'} AS n"]
    columns += [f'{value} AS "{name}"' for name, value in _values(fields).items()]
    join = "CROSS JOIN LATERAL" if _postgresql() else "JOIN"
    return f"SELECT {', '.join(columns)} FROM {table} {join} {_elements(f'{table}.{column}')}"


def _elements(list_: str) -> str:
    if _postgresql():
        return f"jsonb_array_elements(CAST({list_} AS jsonb)) WITH ORDINALITY AS x(value, n)"
    return f"json_each({list_}) AS x"


def _values(fields: Sequence[str]) -> dict[str, str]:
    """Map each field's name to the SQL of its value in the element `x`."""
    if not _postgresql():
        # by json_each, since older SQLite lets no view call json_extract where the schema is not trusted
        names = [field.removesuffix(" #") for field in fields]
        return {name: f"(SELECT f.value FROM json_each(x.value, '$[{at}]') AS f)" for at, name in enumerate(names)}
    values = {field: f"x.value ->> {at}" for at, field in enumerate(fields)}
    return {
        field.removesuffix(" #"): f"CAST({value} AS bigint)" if field.endswith(" #") else f"({value})"
        for field, value in values.items()
    }


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
