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


def size(list_: str) -> str:
    """Write the number of elements of a list."""
    return f"jsonb_array_length(CAST({list_} AS jsonb))" if _postgresql() else _count(list_)


def wrong_amounts(column: str, size: str) -> str:
    """Write the condition that a new row's list of amounts has not `size` elements, or one that is no whole number above 0."""
    if _postgresql():  # as an array: JSON of the same costs several times as much
        amounts = _amounts(f"NEW.{column}")
        return f"(0 < ALL ({amounts})) IS NOT TRUE OR coalesce({size}, -1) <> cardinality({amounts})"
    whole = f"EXISTS (SELECT 1 FROM json_each(NEW.{column}) AS x WHERE (typeof(x.value) = 'integer' AND x.value > 0) IS NOT TRUE)"
    return f"{whole} OR coalesce({size}, -1) <> {_count(f'NEW.{column}')}"


def rows_with_amounts(table: str, interned: str, lists: str, amounts: str, fields: Sequence[str], **kept: str) -> str:
    """Write the query of a row for each element of an interned list and its amount, which the table's row holds.

    interned  the table of lists by their hash, and the column that holds the hash
    lists     the column of that table with the list
    """
    columns = [f'{table}."{of}" AS "{name}"' for name, of in kept.items()]
    columns += [f"{'x.n' if _postgresql() else 'x.key + 1'} AS n"]
    columns += [f'{value} AS "{name}"' for name, value in _values(fields).items()]
    columns += [f"{'x.fen' if _postgresql() else 'a.value'} AS fen"]
    if _postgresql():
        both = f"ROWS FROM (jsonb_array_elements(CAST(i.{lists} AS jsonb)), unnest({_amounts(f'{table}.{amounts}')}))"
        more = f"CROSS JOIN LATERAL {both} WITH ORDINALITY AS x(value, fen, n)"
    else:
        more = f"JOIN json_each(i.{lists}) AS x JOIN json_each({table}.{amounts}) AS a ON a.key = x.key"
    return f"SELECT {', '.join(columns)} FROM {table} JOIN {interned} AS i ON i.hash = {table}.{interned} {more}"


def _amounts(list_: str) -> str:
    """Write PostgreSQL's array of a JSON list of whole numbers."""
    return f"CAST(translate({list_}, '[]', '{{}}') AS bigint[])"


def _count(list_: str) -> str:
    return f"(SELECT count(*) FROM json_each({list_}))"


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
