"""How the templates of all pages are read: values are escaped, and a name that nobody gave is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates(room: str) -> Environment:
    """The templates of a room, such as `reports`."""
    return Environment(
        loader=PackageLoader(f"oarpipe.{room}"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
