"""Write the schema of what commands print with ``--json``, made from the types in ``conveyor.documents``.

Run from the root of the project::

    python -m tools.json_schema
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from conveyor.documents import field_types, kept_documents, listing_documents, report_documents, request_documents
from conveyor.documents.printed_documents import Printed
from conveyor.engine.steps import STEPS

_MODULES = (field_types, kept_documents, listing_documents, report_documents, request_documents)
FILE = Path(__file__).parents[1] / "docs" / "reference" / "conveyor-1.schema.json"


class _Plain(GenerateJsonSchema):
    """The same schema with every release of pydantic, and without a title for each key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def literal_schema(self, schema: Any) -> dict[str, Any]:
        words = schema["expected"]
        return {"const": words[0]} if len(words) == 1 else {"enum": list(words)}


def schema() -> dict[str, Any]:
    """Return the schema: one of the documents, each with all of its keys and no other."""
    made = TypeAdapter[Any](Printed).json_schema(mode="serialization", schema_generator=_Plain)
    kinds = {name: kind for module in _MODULES for name, kind in vars(module).items()}
    for name, definition in made["$defs"].items():
        definition.pop("title", None)
        words = (inspect.getdoc(kinds[name]) or "").replace("``", "").split()
        definition.update(
            description=" ".join(words), required=list(definition["properties"]), additionalProperties=False
        )
    made["$defs"]["StepEntry"]["properties"]["step"]["examples"] = [step.name for step in STEPS]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:conveyor:schema:conveyor/1",
        "title": "conveyor/1",
        "description": "The one document that a command of Conveyor prints with --json.",
        "oneOf": made["anyOf"],
        "$defs": made["$defs"],
    }


def text() -> str:
    """Return the schema as the file has it."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
