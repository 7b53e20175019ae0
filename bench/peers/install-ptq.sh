#!/usr/bin/env bash
# Makes the Python environment of onnxruntime's quantizer, which bench/ptq compares with, outside the repository. About 400 MB.
# Pillow draws the lines of text that the OCR models are measured on. PARE_PEERS_PTQ names another folder.
set -euo pipefail
folder="${PARE_PEERS_PTQ:-${XDG_CACHE_HOME:-$HOME/.cache}/pare/peers-ptq}"
python3 -m venv "$folder"
"$folder/bin/pip" install onnxruntime onnx onnx-ir sympy pillow
"$folder/bin/python" -c 'import onnxruntime; print("onnxruntime", onnxruntime.__version__, "in", onnxruntime.__file__)'
