"""Some steps of the joint model on one device and on two, in a process that sees two devices.

    python -m tests.nn.shared_steps jax OUT.npz 1,2
    python -m tests.nn.shared_steps jax OUT.npz 0 ADDRESSES PROCESS

Writes every weight after three steps of plain descent, and the losses, for each number of devices.
With the addresses of two processes, each of them has one device, and 0 stands for both.
Descent takes a gradient as it is: Adam would hide one that is twice too large.
"""

from __future__ import annotations

import json
import os
import sys

N_DEVICES = 2


def join(backend: str, addresses: str, process: int) -> None:
    """Say who takes part; before Keras is imported."""
    os.environ |= {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    hosts = addresses.split(",")
    if backend == "jax":
        os.environ["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = addresses
        os.environ["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(len(hosts))
        os.environ["KERAS_DISTRIBUTION_PROCESS_ID"] = str(process)
    else:
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": process}}
        os.environ["TF_CONFIG"] = json.dumps(task)


def two_devices(backend: str) -> None:
    """Make Keras' backend see two processors; before Keras is imported."""
    os.environ |= {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={N_DEVICES}"
    if backend == "tensorflow":
        from tensorflow import config

        (processor,) = config.list_physical_devices("CPU")
        each = [config.LogicalDeviceConfiguration()] * N_DEVICES
        config.set_logical_device_configuration(processor, each)


def stepped(devices: int) -> dict[str, object]:
    """Weights after three steps, by name, and the losses on the way."""
    import keras
    import numpy as np

    from selfml.nn.backbones import small_backbone
    from selfml.nn.classifier import AttributeClassifier
    from selfml.nn.devices import is_shared, run_batch, shared_by
    from selfml.nn.input_pipeline import Batches, rows_of
    from selfml.nn.model import SelfML
    from tests.nn.model_parts import B, L, configured, explainer_of, inputs_of, moved

    keras.utils.set_random_seed(3)
    with shared_by(devices, B):
        assert is_shared() == (devices != 1)
        config = configured("basis.lambda_c=10", "flips.distil=1")
        explainer = moved(explainer_of(config, hidden=0))  # without the dropout of the residual
        classifier = AttributeClassifier(L, config, backbone=small_backbone(32))
        model = SelfML(classifier, explainer)
        rng = np.random.default_rng(5)
        inputs = inputs_of() | {
            "inputs": rng.integers(0, 256, (B, 32, 32, 3)).astype(np.uint8),
            "is_clean": (np.arange(B) >= 9).astype(np.float32),  # all on the second device
        }
        fields = {name: rows_of(values) for name, values in inputs.items()}
        batches = Batches([(np.arange(B), B)], fields, steps=3, seed=0, stage="s")
        batches.groups[0].draw = lambda step: np.arange(B)
        model(batches[0][0])
        model.compile(optimizer=keras.optimizers.SGD(0.01))
        losses: list[float] = []
        noted = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
        )
        model.fit(batches, shuffle=False, verbose=0, callbacks=[noted])
        found = {
            f"{i}:{v.path}": np.asarray(keras.ops.convert_to_numpy(v))
            for i, v in enumerate(model.weights)
        }
        found["logits"] = run_batch(model, inputs)["class_logits"]
        classifier.backbone.trainable = False  # as between two stages
        found["frozen"] = run_batch(model, inputs)["class_logits"]
        return {**found, "losses": np.array(losses)}


def main() -> None:
    """Both, into one file."""
    backend, out, counts, *several = sys.argv[1:]
    if several:
        join(backend, several[0], int(several[1]))
    else:
        two_devices(backend)
    import numpy as np

    arrays = {f"{n}|{k}": v for n in map(int, counts.split(",")) for k, v in stepped(n).items()}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main()
