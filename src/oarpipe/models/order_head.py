"""A small head on a frozen any-order body that foresees the greedy walk: which open place comes next.

After every step the walk has, at no further cost, the row that answered the place just filled and the
embedding of the code that appeared there. A recurrent summary of these, the class and the filled places
make a score for every position, so that the body need not be asked about all (the paper's future work).
"""

from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from oarpipe.base import noise
from oarpipe.base.files import write_atomically, write_text
from oarpipe.errors import IncompleteData

WEIGHTS, ANATOMY = "order_head.safetensors", "order_head.yaml"


class OrderHead(nn.Module):
    """`head(answers, content, order, labels)` gives a score of every position before every step.

    A score is the log of a share, up to a constant: the softmax over the open positions is how likely
    each is to be the next. Those of filled positions mean nothing.
    """

    def __init__(
        self, *, positions: int, classes: int, body_width: int, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.positions, self.classes = positions, classes
        self.body_width, self.width = body_width, width
        self.answer_norm, self.content_norm = nn.LayerNorm(body_width), nn.LayerNorm(body_width)
        self.answer = nn.Linear(body_width, width)
        self.content = nn.Linear(body_width, width, bias=False)
        self.place = nn.Embedding(positions, width)
        self.label = nn.Embedding(classes + 1, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.filled = nn.Linear(positions, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.score = nn.Linear(width, positions)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        answers: Float[Tensor, "B N D"],
        content: Float[Tensor, "B N D"],
        order: Int[Tensor, "B N"],
        labels: Int[Tensor, " B"],
    ) -> Float[Tensor, "B N N"]:
        """Row t: the scores when `order[:, :t]` is filled. `answers` and `content` are by step."""
        traces = self.trace(answers[:, :-1], content[:, :-1], order[:, :-1])
        traces = torch.cat([self.label(labels)[:, None], traces], dim=1)
        return self.outlook(traces, self.memory(traces)[0], filled_before(order))

    def trace(
        self,
        answers: Float[Tensor, "B K D"],
        content: Float[Tensor, "B K D"],
        positions: Int[Tensor, "B K"],
    ) -> Float[Tensor, "B K W"]:
        """What the filling of places leaves behind; several of one step count by their mean.

        What stands before the first step is the embedding of the label.
        """
        dtype = self.answer.weight.dtype
        answered = self.answer(self.answer_norm(answers.to(dtype)))
        found = self.content(self.content_norm(content.to(dtype)))
        left: Tensor = self.dropout(nn.functional.gelu(answered + found + self.place(positions)))
        return left

    def outlook(
        self,
        trace: Float[Tensor, "B S W"],
        memory: Float[Tensor, "B S W"],
        filled: Bool[Tensor, "B S N"],
    ) -> Float[Tensor, "B S N"]:
        """Scores of all positions from the last step's trace and the memory of all steps, it included."""
        x = self.norm(trace + memory + self.filled(filled.to(trace.dtype)))  # [B, S, W]
        x = x + self.dropout(nn.functional.gelu(self.inner(self.dropout(x))))
        scores: Tensor = self.score(x)  # [B, S, N]
        return scores

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Matrices N(0, 1/inputs), embeddings and scores N(0, 0.02), norms one, biases zero."""
        generator = torch.Generator().manual_seed(noise.integer(seed, noise.Stream.INIT))
        small = {"place.weight", "label.weight", "score.weight"}
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
            else:
                deviation = 0.02 if name in small else parameter.shape[1] ** -0.5
                parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))

    def save(self, folder: Path) -> None:
        """Writes weights and anatomy, each atomically."""
        tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in self.state_dict().items()}
        write_atomically(folder / WEIGHTS, lambda file: save_file(tensors, file))
        anatomy = {key: getattr(self, key) for key in ("positions", "classes", "body_width", "width")}
        write_text(folder / ANATOMY, yaml.safe_dump(anatomy, sort_keys=False))


def load_head(folder: str | Path, device: torch.device | str = "cpu") -> OrderHead:
    """A head that was trained, float32, in evaluation mode; `IncompleteData` names what is wrong."""
    folder = Path(folder)
    try:
        anatomy: dict[str, Any] = yaml.safe_load((folder / ANATOMY).read_text())
        head = OrderHead(**anatomy)
        head.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, SafetensorError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise IncompleteData(f"{folder}: not a whole order head ({detail}); train it again") from error
    return head.to(device).eval()


def filled_before(order: Int[Tensor, "B N"]) -> Bool[Tensor, "B N N"]:
    """Row t: which positions `order[:, :t]` fills."""
    return order.argsort(dim=1)[:, None, :] < torch.arange(order.shape[1], device=order.device)[:, None]
