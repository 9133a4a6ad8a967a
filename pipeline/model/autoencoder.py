"""The autoencoder: a small dense network that reconstructs normalised feature rows (PyTorch).

Only training imports this module. It has as many outputs as inputs: a network with fewer is no
model of the machine at all. `scoring.reconstruct` is the same forward pass in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.model.scoring import INPUT_LIMIT, Layers

Floats = NDArray[np.float64]


# A short history is cut into smaller batches, so that an epoch has at least about this many
# steps: with two steps an epoch the network would hardly have left its random start.
STEPS_PER_EPOCH = 16
SMALLEST_BATCH = 32


@dataclass(frozen=True)
class FitSettings:
    """How a network is fitted; `patience` epochs without a better validation loss end it.

    `batch_rows` is the largest batch, see `STEPS_PER_EPOCH`.
    """

    hidden: int
    bottleneck: int
    epochs: int
    patience: int
    batch_rows: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A fitted network and the losses (mean squared error of z) that it ended with."""

    network: Autoencoder
    epochs: int
    train_loss: float
    validation_loss: float


class Autoencoder(nn.Module):
    """d -> hidden (tanh) -> bottleneck (linear) -> hidden (tanh) -> d.

    The bottleneck is linear so that a machine's load, which moves all sensors together, passes
    through without being squashed at its ends.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width, hidden)
        self.squeeze = nn.Linear(hidden, bottleneck)
        self.expand = nn.Linear(bottleneck, hidden)
        self.decode = nn.Linear(hidden, width)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Reconstruct (n, width) float32 rows."""
        code = self.squeeze(torch.tanh(self.encode(z)))
        out: torch.Tensor = self.decode(torch.tanh(self.expand(code)))
        return out

    def layers(self) -> Layers:
        """Return the weights (outputs, inputs) and biases of the layers as float64 arrays."""
        return tuple(
            (_array(layer.weight), _array(layer.bias))
            for layer in (self.encode, self.squeeze, self.expand, self.decode)
        )


def _array(parameter: torch.Tensor) -> Floats:
    return parameter.detach().numpy().astype(np.float64)


def fit(z: Floats, validation: Floats, settings: FitSettings) -> Fitted:
    """Fit a network to healthy (n, d) rows and keep its state at the best validation loss.

    Deterministic for given rows and settings: one generator, seeded, on one thread.
    """
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    shuffle = torch.Generator().manual_seed(settings.seed)
    rows, unseen = _tensor(z), _tensor(validation)
    network = Autoencoder(z.shape[1], settings.hidden, settings.bottleneck)
    adam = _Adam(list(network.parameters()), settings.learning_rate)
    best_loss, best_epoch, best_state = float("inf"), 0, dict(network.state_dict())
    batch_rows = min(settings.batch_rows, max(SMALLEST_BATCH, len(rows) // STEPS_PER_EPOCH))
    for epoch in range(1, settings.epochs + 1):
        order = torch.randperm(len(rows), generator=shuffle)
        for start in range(0, len(rows), batch_rows):
            inputs = rows[order[start : start + batch_rows]]
            adam.step(nn.functional.mse_loss(network(inputs), inputs))
        loss_now = _loss(network, unseen)
        if loss_now < best_loss:
            best_loss, best_epoch = loss_now, epoch
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch - best_epoch >= settings.patience:
            break
    network.load_state_dict(best_state)
    return Fitted(network, best_epoch, _loss(network, rows), best_loss)


class _Adam:
    """Adam (Kingma & Ba, ICLR 2015, algorithm 1) with its usual decay rates.

    The library's optimisers import the whole of torch's compiler when the first one is made,
    which takes longer than fitting this network does.
    """

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        self._parameters = parameters
        self._learning_rate = learning_rate
        self._first = [torch.zeros_like(parameter) for parameter in parameters]
        self._second = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = 0

    def step(self, loss: torch.Tensor) -> None:
        """Move the parameters one step down the gradient of the loss."""
        gradients = torch.autograd.grad(loss, self._parameters)
        self._steps += 1
        rate = self._learning_rate / (1.0 - 0.9**self._steps)
        correction = 1.0 - 0.999**self._steps
        with torch.no_grad():
            moments = zip(self._parameters, gradients, self._first, self._second, strict=True)
            for parameter, gradient, first, second in moments:
                first.lerp_(gradient, 0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                parameter.addcdiv_(first, (second / correction).sqrt_().add_(1e-8), value=-rate)


def _tensor(z: Floats) -> torch.Tensor:
    return torch.from_numpy(np.clip(z, -INPUT_LIMIT, INPUT_LIMIT).astype(np.float32))


def _loss(network: Autoencoder, rows: torch.Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.mse_loss(network(rows), rows))
