#!/usr/bin/env bash
# Makes the Python environment of onnxsim and onnxslim, which bench/simplify compares with, outside the repository. About 300 MB.
# PARE_PEERS_SIMPLIFY names another folder.
set -euo pipefail
folder="${PARE_PEERS_SIMPLIFY:-${XDG_CACHE_HOME:-$HOME/.cache}/pare/peers-simplify}"
python3 -m venv "$folder"
"$folder/bin/pip" install onnxsim onnxslim onnxruntime
"$folder/bin/onnxslim" --version
"$folder/bin/python" -c 'import onnxsim; print("onnxsim", onnxsim.__version__)'
