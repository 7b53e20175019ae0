#!/usr/bin/env bash
# Makes the Python environment of the peers that benchmarks compare with, outside the repository: PyTorch alone, without what only GPUs need
# where that can be left out. About 5 GB: the package index has no build for CPUs only, and the one it has loads these libraries at start.
# PARE_PEERS names another folder; PARE_TORCH_INDEX a package index with CPU builds, if you have one (then about 1 GB).
set -euo pipefail
folder="${PARE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pare/peers}"
python3 -m venv "$folder"
pip="$folder/bin/pip"
if [ -n "${PARE_TORCH_INDEX:-}" ] || [ "$(uname -sm)" != "Linux x86_64" ]; then
  "$pip" install ${PARE_TORCH_INDEX:+--index-url "$PARE_TORCH_INDEX"} torch
else
  "$pip" install --no-deps torch==2.15.0
  "$pip" install typing-extensions sympy \
    "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusparse,nvjitlink,nvrtc]==13.2.2"
  "$pip" install --no-deps nvidia-cudnn-cu13==9.26.0.51 nvidia-cusparselt-cu13==0.8.1 nvidia-nccl-cu13==2.30.7 \
    nvidia-nvshmem-cu13==3.7.2
fi
"$folder/bin/python" -c 'import torch; print("torch", torch.__version__, "in", torch.__file__)'
