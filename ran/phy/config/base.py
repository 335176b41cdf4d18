"""What every configuration object has in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Config(BaseModel):
    """Base of every configuration object: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Fields that are younger than stored results. At their default they are left out when a configuration is written,
    #: so that an experiment of before keeps its name, and with it its random numbers.
    younger_fields: ClassVar[tuple[str, ...]] = ()

    #: Keys of the file that its loader takes before the model sees it.
    keys_of_loader: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _leave_out_younger_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        for name in self.younger_fields:
            if getattr(self, name) == type(self).model_fields[name].default:
                values.pop(name, None)
        return values
