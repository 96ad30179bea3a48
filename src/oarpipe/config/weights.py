"""Where published weights lie: a file here, one on the Hugging Face hub, or one at an address."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from oarpipe.config.base import Strict


class WeightsConfig(Strict):
    """A file of weights, by `path`, by `hub` and `file`, or by `url`; a bare text is a path."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _or_a_text(schema))

    path: str | None = Field(None, description="a file on this machine")
    hub: str | None = Field(None, pattern="^[^/]+/[^/]+$", description="owner/name on the Hugging Face hub")
    file: str | None = Field(None, description="the file's path in the hub's repository")
    revision: str = Field("main", description="branch, tag or commit of the hub's repository")
    url: str | None = Field(None, pattern="^(https?|file)://", description="an address to download it from")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="hash that the file must have")

    @model_validator(mode="before")
    @classmethod
    def _a_text_is_a_path(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _is_one_place(self) -> "WeightsConfig":
        places = [place for place in (self.path, self.hub, self.url) if place is not None]
        if len(places) != 1 or (self.hub is None) != (self.file is None):
            raise ValueError("expected one of `path`, `url`, or `hub` and `file`")
        return self


def _or_a_text(schema: dict[str, Any]) -> None:
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]
