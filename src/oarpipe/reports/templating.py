"""How the templates of all pages are read: values are escaped, and a name that nobody gave is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """The room's templates."""
    return Environment(
        loader=PackageLoader("oarpipe.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
