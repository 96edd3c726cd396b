"""Runs `.tflite` files with numpy and LiteRT alone, under whatever processor Python is running on.

    python run_files.py FOLDER PACKAGES

Every `NAME.tflite` in FOLDER is run on the inputs of `NAME.npy`, image by image, with the reference kernels and with
those of XNNPACK; `NAME.reference.MACHINE.npy` and `NAME.xnnpack.MACHINE.npy` hold the outputs. PACKAGES is a folder to
import numpy and LiteRT from, or "" for those that are installed.
"""

import platform
import sys
from pathlib import Path

KERNELS = ("reference", "xnnpack")


def main(folder: Path, packages: str) -> None:
    """Run all files of a folder."""
    if packages:
        sys.path.insert(0, packages)
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {"reference": OpResolverType.BUILTIN_REF, "xnnpack": OpResolverType.AUTO}
    for file in sorted(folder.glob("*.tflite")):
        images = np.load(file.with_suffix(".npy"))
        for kernels in KERNELS:
            interpreter = Interpreter(
                model_path=str(file), num_threads=1, experimental_op_resolver_type=resolvers[kernels]
            )
            interpreter.allocate_tensors()
            source = interpreter.get_input_details()[0]["index"]
            result = interpreter.get_output_details()[0]["index"]
            outputs = []
            for image in images:
                interpreter.set_tensor(source, image[None])
                interpreter.invoke()
                outputs.append(interpreter.get_tensor(result)[0])
            np.save(folder / f"{file.stem}.{kernels}.{platform.machine()}.npy", np.array(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
