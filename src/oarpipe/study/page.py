"""The page that participants open: one HTML file that loads nothing, and study.json, its key.

Every word on it is text: titles, class names and the researcher's own files are escaped.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from oarpipe.base.files import hash_of
from oarpipe.base.templating import templates
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.study.design import Design, Item, Picture
from oarpipe.study.tally import Tally

FORMAT = 1
PIXELATED = 64  # pixels: smaller pictures are enlarged pixel by pixel, larger ones smoothly
INSTRUCTIONS = "Look at both pictures and choose the one that looks better to you. There is no right answer."
SMALLEST = 400  # CSS pixels that a picture has where there is room; larger ones have two a pixel
FRAMES = 68  # CSS pixels around and between two pictures
_EFFORT = 80


@dataclass(frozen=True)
class Words:
    """What the page says besides the pictures; `post` is where answers are sent, if anywhere."""

    title: str
    question: str
    consent: str
    instructions: str
    post: str | None


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph, or the items of a list."""

    kind: str
    lines: list[str]


def facts(design: Design, words: Words, classes: Sequence[str] | None) -> dict[str, Any]:
    """What study.json holds; its fingerprint is the same for the same pictures and words."""
    names = {str(one.label): _class_name(one.label, classes) for one in design.pairs}
    content = {"format": FORMAT, **design.facts(), "classes": names, "words": asdict(words)}
    return {**content, "fingerprint": hash_of(content)[:16]}


def render(design: Design, words: Words, key: Mapping[str, Any]) -> str:
    """The participants' page as HTML; `key` is what `facts` gave."""
    shown = {
        "study": key["fingerprint"],
        "repeats": design.repeats,
        "post": words.post,
        "pairs": [_shown(item, key["classes"]) for item in design.pairs],
        "checks": [_shown(item, key["classes"]) for item in design.checks],
    }
    side = next(iter(design.pairs[0].pictures.values())).shape[0]
    return (
        templates("study")
        .get_template("study.html.j2")
        .render(
            words=words,
            consent=blocks(words.consent),
            instructions=blocks(words.instructions),
            study=shown,
            asked=len(design.pairs) + len(design.checks) + design.repeats,
            origin=_origin(words.post) if words.post else None,
            pixelated=side <= PIXELATED,
            widest=2 * max(SMALLEST, 2 * side) + FRAMES,
        )
    )


def render_tally(tally: Tally) -> str:
    """The page of a study's outcome."""
    return templates("study").get_template("tally.html.j2").render(tally=tally)


def shipped_consent() -> str:
    """The consent that stands where the researcher gives none."""
    return resources.files("oarpipe.study").joinpath("templates/consent.txt").read_text(encoding="utf-8")


def text_of(file: Path, flag: str) -> str:
    """The text of a researcher's file; `IncompleteData` where there is none."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IncompleteData(f"--{flag} {file}: missing, or not text in UTF-8") from error
    if not text.strip():
        raise IncompleteData(f"--{flag} {file}: empty; write what participants are to read")
    return text


def blocks(text: str) -> list[Block]:
    """Plain text, or the least of Markdown: blank lines part paragraphs, `#` leads headings, `-` lists."""
    found = []
    for part in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        if not lines:
            continue
        if lines[0].startswith("#"):
            found.append(Block("heading", [lines.pop(0).lstrip("#").strip()]))
        if lines and all(line.startswith(("- ", "* ")) for line in lines):
            found.append(Block("list", [line[2:] for line in lines]))
        elif lines:
            found.append(Block("paragraph", [" ".join(lines)]))
    return found


def _shown(item: Item, classes: Mapping[str, str]) -> dict[str, Any]:
    pictures = {name: _address(picture) for name, picture in item.pictures.items()}
    return {"item": item.item, "caption": classes[str(item.label)], "pictures": pictures}


def _class_name(label: int, classes: Sequence[str] | None) -> str:
    if classes is None:
        return f"class {label}"
    if label >= len(classes):
        raise BadInput(
            f"the dataset has {len(classes)} classes and the samples class {label}; name the dataset "
            "whose classes the model was trained on"
        )
    return classes[label]


def _origin(address: str) -> str:
    """Scheme and host of the address, the only place that the page may reach."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        host is None
        or parts.scheme not in ("http", "https")
        or not host.isascii()
        or set(host) & set(" ;,'\"")
    ):
        raise BadInput(f"--post {address}: not an address like https://example.org/answers")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}" + (f":{port}" if port else "")


def _address(picture: Picture) -> str:
    """A picture as an address that holds it, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=_EFFORT)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
