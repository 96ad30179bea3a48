"""What images are, told by their content: a reference, or a split of a dataset."""

from dataclasses import dataclass

from oarpipe.base.files import hash_of


@dataclass(frozen=True)
class Identity:
    """Images: how they are called, a hash of their content, and how many there are, if it is known."""

    name: str
    digest: str
    count: int | None = None

    @classmethod
    def of_split(cls, dataset: str, digest: str, split: str, count: int) -> "Identity":
        """So many images of a split of a dataset with this digest."""
        name = dataset if split == "all" else f"{dataset} {split}"
        return cls(name, hash_of({"digest": digest, "split": split, "count": count}), count)

    def part(self, count: int) -> "Identity":
        """So many of its images, evenly spread."""
        return Identity(self.name, hash_of({"of": self.digest, "evenly": count}), count)
