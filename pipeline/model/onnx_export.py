"""Writes the model's network as ONNX, for runtimes that are not ours; training calls it.

The graph takes `features` (n, d) float64, the columns that the model looks at, and `unit` (n,)
int64, the position of each row's machine in `units` of `model.json`, -1 for an unknown one. It
gives `z` and `reconstruction`, both (n, d) float64: the rows as the network saw them and as it
rebuilt them, in each feature's usual deviations. Distances, thresholds and the episode rule are
not in it: `scoring.py` has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.model.baseline import LARGEST
from pipeline.model.scoring import INPUT_LIMIT, Model

if TYPE_CHECKING:
    import onnx

ONNX_FILE = "autoencoder.onnx"

# Old enough for runtimes of 2021, new enough for every operator in use.
OPSET = 13
IR_VERSION = 8


def save(model: Model, version: str, folder: Path) -> None:
    """Write `autoencoder.onnx` into a model folder."""
    (folder / ONNX_FILE).write_bytes(graph(model, version).SerializeToString(deterministic=True))


def graph(model: Model, version: str) -> onnx.ModelProto:
    """Return the checked ONNX model; normalisation in float64, as the network's weights are."""
    # Only here: serving imports this package, and onnx with protobuf takes a fifth of a second.
    from onnx import TensorProto, checker, helper, numpy_helper

    locations, factors = model.baselines.locations_and_factors
    constants: dict[str, Any] = {
        "locations": locations,
        "factors": factors,
        "zero": np.float64(0.0),
        "largest": np.float64(LARGEST),
        "smallest": np.float64(-LARGEST),
        "input_limit": np.float64(INPUT_LIMIT),
        "input_floor": np.float64(-INPUT_LIMIT),
    }
    nodes = [
        helper.make_node("Gather", ["locations", "unit"], ["location"], axis=0),
        helper.make_node("Gather", ["factors", "unit"], ["factor"], axis=0),
        helper.make_node("Sub", ["features", "location"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "factor"], ["raw_z"]),
        helper.make_node("IsNaN", ["raw_z"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "raw_z"], ["present_z"]),
        helper.make_node("Clip", ["present_z", "smallest", "largest"], ["z"]),
        helper.make_node("Clip", ["z", "input_floor", "input_limit"], ["hidden_0"]),
    ]
    middle, last = len(model.layers) // 2 - 1, len(model.layers) - 1
    for place, (weight, bias) in enumerate(model.layers):
        constants |= {f"weight_{place}": weight, f"bias_{place}": bias}
        out = "reconstruction" if place == last else f"hidden_{place + 1}"
        linear = out if place in (middle, last) else f"linear_{place}"
        inputs = [f"hidden_{place}", f"weight_{place}", f"bias_{place}"]
        nodes.append(helper.make_node("Gemm", inputs, [linear], transB=1))
        if linear != out:
            nodes.append(helper.make_node("Tanh", [linear], [out]))
    rows = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", len(model.columns)])
        for name in ("features", "z", "reconstruction")
    ]
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "autoencoder",
            [rows[0], helper.make_tensor_value_info("unit", TensorProto.INT64, ["n"])],
            rows[1:],
            [numpy_helper.from_array(np.asarray(held), name) for name, held in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fleetwin",
    )
    helper.set_model_props(made, {"model_version": version})
    checker.check_model(made, full_check=True)
    return made
