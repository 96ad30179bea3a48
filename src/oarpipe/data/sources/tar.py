"""Images in tar files, read in place: ImageNet's tar of class tars, or a folder of class tars."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from oarpipe.config.datasets import TarConfig
from oarpipe.data.sources.files import EncodedFiles, check_name, is_image, scan, size_of
from oarpipe.data.sources.folder import list_classes
from oarpipe.data.sources.listing import Found, Listing, Place, arrange, check_test_classes
from oarpipe.errors import BadInput

Ignored = list[tuple[str, str]]


class TarSource(EncodedFiles):
    """Tars are scanned once for where their members lie; an image is then one seek and one read."""

    def __init__(self, config: TarConfig) -> None:
        self._train = Path(config.path)
        self._test = Path(config.test_path) if config.test_path else None
        self._test_labels = Path(config.test_labels) if config.test_labels else None
        self._test_every = config.test_every

    def listing(self) -> Listing:
        """Every image of every class tar, sorted by class and name."""
        ignored: Ignored = []
        found = _class_tars(self._train, "train" if self._test else None, ignored)
        if self._test:
            tests = self._tests(self._test, ignored)
            check_test_classes(found, tests, self._test)
            found += tests
        return arrange(found, test_every=self._test_every, is_archive=True, ignored=ignored)

    def file(self, place: Place) -> Path:
        """The tar, or the class's tar, or the test image itself."""
        return self._split(place)[0]

    def where(self, place: Place) -> str:
        """The archive and the member in it."""
        return ":".join(map(str, filter(None, self._split(place))))

    def _tests(self, path: Path, ignored: Ignored) -> list[Found]:
        if self._test_labels is not None:
            return _labelled(path, self._test_labels, ignored)
        if path.is_dir() and not any(entry.name.endswith(".tar") for entry in scan(path)):
            return list_classes(path, "test", ignored)
        return _class_tars(path, "test", ignored)

    def _split(self, place: Place) -> tuple[Path, str]:
        """The file that holds an image, and the image's name in it (none for a file of its own)."""
        root = self._test if self._test and place.split == "test" else self._train
        if not root.is_dir():
            return root, place.path
        first, _, rest = place.path.partition("/")
        return (root / first, rest) if first.endswith(".tar") else (root / place.path, "")


def _class_tars(path: Path, split: str | None, ignored: Ignored) -> list[Found]:
    """The images of a tar of class tars, or of a folder of them; the class is the inner tar's name."""
    found: list[Found] = []
    for name, file, begin, end in _inner_tars(path, ignored):
        label = Path(name).name.removesuffix(".tar")
        images = []
        for member in tar_members(file, begin, end):
            place = f"{name}/{member.name}"
            if is_image(member.name):
                images.append(Found(place, member.size, label, split, member.offset_data))
            else:
                ignored.append((place, "not an image by its name"))
        if not images:
            raise BadInput(f"{file}: class '{label}' has no images; every tar here is a class")
        found += sorted(images, key=lambda image: image.path)
    if not found:
        raise BadInput(f"{path}: holds no class tars; expected members or files like n01440764.tar")
    return found


def _inner_tars(path: Path, ignored: Ignored) -> Iterator[tuple[str, Path, int, int]]:
    """Name, file, and begin and end in that file of every class tar, sorted by name."""
    if path.is_dir():
        for entry in scan(path):
            if entry.name.endswith(".tar"):
                yield entry.name, path / entry.name, 0, size_of(entry)
            else:
                ignored.append((entry.name, "not a class's tar"))
        return
    for member in sorted(tar_members(path), key=lambda member: member.name):
        if member.name.endswith(".tar"):
            yield member.name, path, member.offset_data, member.offset_data + member.size
        else:
            ignored.append((member.name, "lies in no class's tar"))


def tar_members(file: Path, begin: int = 0, end: int | None = None) -> Iterator[tarfile.TarInfo]:
    """The regular files of the tar that lies between two bytes of a file; `BadInput` if it is cut short."""
    try:
        with file.open("rb") as handle:
            whole = handle.seek(0, 2)
            handle.seek(begin)
            end = whole if end is None else min(end, whole)
            with tarfile.open(fileobj=handle, mode="r:") as archive:
                for member in archive:
                    check_name(member.name, file)
                    if member.offset_data + member.size > end:
                        raise BadInput(f"{file}: cut short within {member.name}; fetch it again")
                    archive.members.clear()  # type: ignore[attr-defined]  # a million would fill the memory
                    if member.isreg():
                        yield member
                # tarfile takes any block that is no header for the end; only zeros are.
                handle.seek(archive.offset)
                if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise BadInput(f"{file}: damaged or cut short at byte {handle.tell()}; fetch it again")
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({error.strerror}); set the entry's `path` to a tar that can"
        ) from error
    except tarfile.TarError as error:
        raise BadInput(f"{file}: not an uncompressed tar, or cut short ({error}); fetch it again") from error


def _labelled(path: Path, labels: Path, ignored: Ignored) -> list[Found]:
    """One tar of images, whose classes a text file tells: by name, or in order of the names."""
    members = {}
    for member in tar_members(path):
        if is_image(member.name):
            members[member.name] = member
        else:
            ignored.append((member.name, "not an image by its name"))
    classes = _read_labels(labels, sorted(members))
    return [
        Found(name, members[name].size, classes[name], "test", members[name].offset_data)
        for name in sorted(members)
    ]


def _read_labels(file: Path, names: list[str]) -> dict[str, str]:
    """The class of every image; `BadInput` if the file's lines and the images do not match."""
    try:
        rows = [re.split(r"[,\s]+", line.strip()) for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: cannot be read ({error}); `test_labels` is a text file") from error
    stems = {Path(name).stem: name for name in names}
    if rows and len(rows[0]) > 1:
        told = {stems[Path(row[0]).stem]: row[1] for row in rows if Path(row[0]).stem in stems and row[1:]}
    elif len(rows) == len(names):
        told = {name: row[0] for name, row in zip(names, rows, strict=True)}
    else:
        raise BadInput(f"{file}: {len(rows)} labels for {len(names)} images")
    lacking = [name for name in names if name not in told]
    if lacking:
        raise BadInput(f"{file}: no label for {len(lacking)} images, the first being {lacking[0]}")
    return told
