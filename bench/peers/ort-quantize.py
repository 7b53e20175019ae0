"""onnxruntime's quantizer in a process of its own, as its documentation says: ort-quantize.py SETTING MODEL SAMPLES OUT.

SETTING: minmax, percentile (static QDQ, unsigned activations, signed weights per channel), core (minmax for Conv, MatMul and Gemm alone),
dynamic or int4 (weights of MatMul, blocks of 32, rounded to nearest). On an x64 without VNNI weights take 7 bits, as the documentation asks;
"full-" before a setting takes 8 bits there too. SAMPLES: a folder with samples.json and samples.bin. Prints one line of JSON: the steps that
failed and were left out, seconds of CPU and of the clock, peak memory.
"""
import json, os, platform, resource, sys, time

started = time.monotonic()
setting, model_path, samples_path, out = sys.argv[1:]
notes = []
full, setting = setting.startswith("full-"), setting.removeprefix("full-")

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

temporary = out + ".float.onnx"


def on_linux(path):
    try:
        return open(path).read()
    except OSError:
        return ""


def peak_bytes():
    # ru_maxrss of a child starts at what its parent held when it forked.
    line = next((l for l in on_linux("/proc/self/status").splitlines() if l.startswith("VmHWM")), None)
    return int(line.split()[1]) * 1024 if line else usage.ru_maxrss * 1024


cpu = on_linux("/proc/cpuinfo")
reduce_range = not full and platform.machine() in ("x86_64", "AMD64") and cpu != "" and "vnni" not in cpu


class Samples(CalibrationDataReader):
    def __init__(self, folder):
        self.bytes = np.memmap(os.path.join(folder, "samples.bin"), dtype=np.uint8, mode="r")
        self.samples = iter(json.load(open(os.path.join(folder, "samples.json"))))

    def get_next(self):
        sample = next(self.samples, None)
        return sample and {
            name: np.array(self.bytes[a["offset"] : a["offset"] + a["bytes"]]).view(a["type"]).reshape(a["dims"])
            for name, a in sample.items()
        }


def opset(model):
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def attempt(what, step):
    try:
        return step()
    except BaseException as error:  # pre-processing exits with bare AssertionError and Exception alike
        notes.append(f"{what}: {type(error).__name__} {str(error).strip().splitlines()[0][:160] if str(error).strip() else ''}".strip())
        return None


model = onnx.load(model_path)
# Old files list weights among the inputs: the converter and the quantizer both trip over them.
weights = {i.name for i in model.graph.initializer}
for value in [v for v in model.graph.input if v.name in weights]:
    model.graph.input.remove(value)
model.ir_version = max(model.ir_version, 8)
if opset(model) < 13:
    model = attempt("version_converter to 17", lambda: version_converter.convert_version(model, 17)) or model
onnx.save(model, temporary)
prepared = out + ".prepared.onnx"
if attempt("quant_pre_process", lambda: quant_pre_process(temporary, prepared) or True):
    temporary_in = prepared
else:
    temporary_in = temporary

if reduce_range:
    notes.append("weights of 7 bits: no VNNI")
report = {"notes": notes}
try:
    if setting == "int4":
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        # Pre-processing makes Gemm of MatMul, which stays float; without it weights in Constant nodes stay float. The smaller file counts.
        sizes = []
        for source in {temporary_in, temporary}:
            quantizer = MatMulNBitsQuantizer(onnx.load(source), block_size=32)
            quantizer.process()
            quantizer.model.save_model_to_file(out + ".4")
            sizes.append(os.path.getsize(out + ".4"))
            if sizes[-1] == min(sizes):
                os.replace(out + ".4", out)
    elif setting == "dynamic":
        quantize_dynamic(temporary_in, out, weight_type=QuantType.QInt8, reduce_range=reduce_range)
    else:
        per_channel = opset(model) >= 13
        if not per_channel:
            notes.append("per channel needs opset 13: per tensor")
        quantize_static(
            temporary_in,
            out,
            Samples(samples_path),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            reduce_range=reduce_range,
            calibrate_method=CalibrationMethod.Percentile if setting == "percentile" else CalibrationMethod.MinMax,
            **({"op_types_to_quantize": ["Conv", "MatMul", "Gemm"]} if setting == "core" else {}),
        )
except BaseException as error:
    report["error"] = f"{type(error).__name__}: {str(error).strip()[:300]}"
for path in (temporary, prepared, out + ".4"):
    if os.path.exists(path):
        os.remove(path)
usage = resource.getrusage(resource.RUSAGE_SELF)
report |= {
    "cpuSeconds": usage.ru_utime + usage.ru_stime,
    "seconds": time.monotonic() - started,
    "peakBytes": peak_bytes(),
}
print(json.dumps(report))
