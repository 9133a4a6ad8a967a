"""The autoencoders: small networks that reconstruct normalised feature rows (PyTorch).

Only training imports this module. It has as many outputs as inputs: a network with fewer is no
model of the machine at all. `scoring.reconstruct` is the same forward pass in NumPy, for both
architectures: a convolution is a dense layer whose weights are shared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.job_log import say
from pipeline.model.checkpoints import Checkpoints, Interrupted
from pipeline.model.scoring import INPUT_LIMIT, Layers

Floats = NDArray[np.float64]


# A short history is cut into smaller batches, so that an epoch has at least about this many
# steps: with two steps an epoch the network would hardly have left its random start.
STEPS_PER_EPOCH = 16
SMALLEST_BATCH = 32

# Columns that a kernel of the convolutional network sees, and how many hidden units of the dense
# network one of its maps stands for.
KERNEL = 3
HIDDEN_PER_MAP = 4

# The name of the fit whose network is served.
SERVED = "served"


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
    architecture: str = "dense"


@dataclass(frozen=True)
class Fitted:
    """A fitted network and the losses (mean squared error of z) that it ended with."""

    network: Network
    epochs: int
    train_loss: float
    validation_loss: float


class Network(nn.Module, ABC):
    """What `fit` fits: reconstructs (n, width) rows, and can be written as four dense layers."""

    @abstractmethod
    def layers(self) -> Layers:
        """Return the weights (outputs, inputs) and biases of the layers as float64 arrays."""


class Autoencoder(Network):
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
        """Return the layers as they are."""
        return tuple(
            (_array(layer.weight), _array(layer.bias))
            for layer in (self.encode, self.squeeze, self.expand, self.decode)
        )


class ConvolutionalAutoencoder(Network):
    """Like the dense one, but its outer layers slide kernels along the row's columns.

    The columns of one sensor are neighbours, so that a kernel of `KERNEL` columns learns how a
    sensor's statistics go together, from all sensors at once: fewer weights for a short history.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int) -> None:
        super().__init__()
        maps = max(1, hidden // HIDDEN_PER_MAP)
        self._width, self._maps = width, maps
        self.encode = nn.Conv1d(1, maps, KERNEL, padding=KERNEL // 2)
        self.squeeze = nn.Linear(maps * width, bottleneck)
        self.expand = nn.Linear(bottleneck, maps * width)
        self.decode = nn.Conv1d(maps, 1, KERNEL, padding=KERNEL // 2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Reconstruct (n, width) float32 rows."""
        code = self.squeeze(torch.tanh(self.encode(z[:, None])).flatten(1))
        hidden = torch.tanh(self.expand(code)).reshape(len(z), self._maps, self._width)
        out: torch.Tensor = self.decode(hidden)[:, 0]
        return out

    def layers(self) -> Layers:
        """Return the same forward pass as dense layers, zero where a kernel does not reach."""
        width, maps = self._width, self._maps
        kernels = _array(self.encode.weight)[:, 0]
        encode = np.vstack([_banded(kernel, width) for kernel in kernels])
        decode = np.hstack([_banded(kernel, width) for kernel in _array(self.decode.weight)[0]])
        return (
            (encode, np.repeat(_array(self.encode.bias), width)),
            (_array(self.squeeze.weight), _array(self.squeeze.bias)),
            (_array(self.expand.weight), _array(self.expand.bias)),
            (decode.reshape(width, maps * width), np.repeat(_array(self.decode.bias), width)),
        )


def _banded(kernel: Floats, width: int) -> Floats:
    """Return the (width, width) matrix that slides a kernel along a row padded with zeros."""
    matrix = np.zeros((width, width))
    for place, weight in enumerate(kernel):
        matrix += weight * np.eye(width, k=place - KERNEL // 2)
    return matrix


NETWORKS: Mapping[str, type[Autoencoder] | type[ConvolutionalAutoencoder]] = {
    "dense": Autoencoder,
    "convolutional": ConvolutionalAutoencoder,
}


def _array(parameter: torch.Tensor | None) -> Floats:
    assert parameter is not None  # Conv1d's bias, which it may be told to leave out.
    return parameter.detach().numpy().astype(np.float64)


def fit(
    z: Floats,
    validation: Floats,
    settings: FitSettings,
    checkpoints: Checkpoints | None = None,
    name: str = "network",
) -> Fitted:
    """Fit a network to healthy (n, d) rows and keep its state at the best validation loss.

    Deterministic for given rows and settings: one generator, seeded, on one thread. With
    `checkpoints` it goes on where a fit of that name was, to the same bits, saves its state after
    each epoch, and raises Interrupted, saved, at the step where it is told to stop.
    """
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    run = _Run(_tensor(z), _tensor(validation), settings)
    kept = checkpoints or Checkpoints()
    stored = kept.load(name)
    if stored is not None:
        run.restore(stored)
        say(f"{name}: goes on after epoch {run.epoch}")
    while not run.ended:
        if kept.stop.requested:
            kept.save(name, run.state())
            raise Interrupted(f"{name}: stopped in epoch {run.epoch + 1}")
        if run.step():
            kept.save(name, run.state())
            if _is_worth_a_line(run.epoch, settings.epochs) or run.ended:
                say(run.progress(name))
    return run.fitted()


def _is_worth_a_line(epoch: int, epochs: int) -> bool:
    """Tell whether to print an epoch: the first ones densely, then every twentieth part."""
    return epoch & (epoch - 1) == 0 or epoch % max(1, epochs // 20) == 0


class _Run:
    """One fit between two steps: all that has to be kept for the next step to be the same."""

    def __init__(self, rows: torch.Tensor, unseen: torch.Tensor, settings: FitSettings) -> None:
        self._rows, self._unseen, self._settings = rows, unseen, settings
        self._shuffle = torch.Generator().manual_seed(settings.seed)
        network = NETWORKS[settings.architecture]
        self._network = network(rows.shape[1], settings.hidden, settings.bottleneck)
        self._adam = _Adam(list(self._network.parameters()), settings.learning_rate)
        self._batch_rows = min(
            settings.batch_rows, max(SMALLEST_BATCH, len(rows) // STEPS_PER_EPOCH)
        )
        self._order = torch.empty(0, dtype=torch.int64)
        self._start = 0
        self._batch_loss = 0.0
        self._loss_now = float("inf")
        self.epoch = 0
        self.best_loss, self.best_epoch = float("inf"), 0
        self._best = _copy(self._network.state_dict())

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing."""
        if self._start:
            return False
        late = self.epoch - self.best_epoch >= self._settings.patience
        return self.epoch >= self._settings.epochs or (
            late and self.epoch > 0 and self._loss_now >= self.best_loss
        )

    def step(self) -> bool:
        """Fit one batch; return whether it was the epoch's last."""
        if not self._start:
            self._order = torch.randperm(len(self._rows), generator=self._shuffle)
        inputs = self._rows[self._order[self._start : self._start + self._batch_rows]]
        loss = nn.functional.mse_loss(self._network(inputs), inputs)
        self._adam.step(loss)
        self._batch_loss = float(loss.detach())
        self._start += self._batch_rows
        if self._start < len(self._rows):
            return False
        self._start, self._order = 0, torch.empty(0, dtype=torch.int64)
        self.epoch += 1
        self._loss_now = _loss(self._network, self._unseen)
        if self._loss_now < self.best_loss:
            self.best_loss, self.best_epoch = self._loss_now, self.epoch
            self._best = _copy(self._network.state_dict())
        return True

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {
            "network": _copy(self._network.state_dict()),
            "best": self._best,
            "adam": self._adam.state(),
            "shuffle": self._shuffle.get_state(),
            "order": self._order,
            "start": self._start,
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "loss_now": self._loss_now,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same rows and settings."""
        self._network.load_state_dict(state["network"])
        self._best = state["best"]
        self._adam.restore(state["adam"])
        self._shuffle.set_state(state["shuffle"])
        self._order, self._start = state["order"], state["start"]
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
        self.best_loss, self._loss_now = state["best_loss"], state["loss_now"]

    def progress(self, name: str) -> str:
        """Return the line that tells of the epoch just done."""
        losses = f"train_loss={self._batch_loss:.6g}; validation_loss={self._loss_now:.6g};"
        # Only the model that is served gives the job's metrics: a metric definition's regular
        # expression would take the folds' lines for later values of the same curve.
        if name != SERVED:
            losses = f"loss {self._batch_loss:.6g}, of unseen rows {self._loss_now:.6g}"
        return f"{name}: epoch {self.epoch} of {self._settings.epochs}: {losses}"

    def fitted(self) -> Fitted:
        """Return the network at its best epoch."""
        self._network.load_state_dict(self._best)
        return Fitted(
            self._network, self.best_epoch, _loss(self._network, self._rows), self.best_loss
        )


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.items()}


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

    def state(self) -> dict[str, Any]:
        """Return the moments and the number of steps."""
        return {"first": self._first, "second": self._second, "steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self._first, self._second = state["first"], state["second"]
        self._steps = state["steps"]

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


def _loss(network: nn.Module, rows: torch.Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.mse_loss(network(rows), rows))
