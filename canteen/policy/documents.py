"""Named and alternative shapes, and the JSON Schema of a whole document with the shapes that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from canteen.policy.shapes import Json, Problems, Shape


@dataclass(frozen=True, slots=True)
class Named(Shape):
    """A shape by name, for shapes that contain themselves; the schema refers to it in `$defs`."""

    name: str
    make: Callable[[], Shape]

    def check(self, value: Json, path: str, out: Problems) -> None:
        self.make().check(value, path, out)

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        return self.make().parse(tree, path, out)

    def schema(self) -> dict[str, Json]:
        return {"$ref": f"#/$defs/{self.name}"}


@dataclass(frozen=True, slots=True)
class Either(Shape):
    """One shape or another, distinguished by a field that only the first one has."""

    mark: str
    marked: Shape
    other: Shape

    def check(self, value: Json, path: str, out: Problems) -> None:
        self._of(value).check(value, path, out)

    def parse(self, tree: Json, path: str, out: Problems) -> Json:
        return self._of(tree).parse(tree, path, out)

    def schema(self) -> dict[str, Json]:
        return {
            "if": {"type": "object", "required": [self.mark]},
            "then": self.marked.schema(),
            "else": self.other.schema(),
        }

    def _of(self, value: Json) -> Shape:
        return self.marked if isinstance(value, dict) and self.mark in value else self.other


def document_schema(shape: Shape, title: str, named: tuple[Named, ...] = ()) -> dict[str, Json]:
    """Return the whole JSON Schema of a document."""
    schema: dict[str, Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **shape.schema(),
    }
    if named:
        schema["$defs"] = {one.name: one.make().schema() for one in named}
    return schema
