"""What a message calls a valid value, where its type alone would say too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Expected:
    """Annotation of a type: its faults, also those inside a list, are told as one of the whole.

    Attributes:
        text: what is expected, `a whole number above 0`.
    """

    text: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return pydantic's check of the annotated type, with this text for whatever is wrong."""
        from pydantic_core import core_schema

        # Braces would be places for values of the fault.
        assert "{" not in self.text, self.text
        return core_schema.custom_error_schema(
            handler(source), custom_error_type="expected", custom_error_message=self.text
        )
