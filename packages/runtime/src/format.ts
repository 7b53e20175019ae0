/**
 * THE .pare LAYOUT, version 1. Writer and reader both import this file, and both run the same models (topology.ts, tensors.ts), so a
 * file is described in one place only.
 *
 *   offset  bytes  what
 *   0       4      "PARE"
 *   4       1      version: 1
 *   5       4      CRC-32 of all bytes that follow, little-endian
 *   9       1..5   n: length of the coded section, LEB128
 *   ..      n      coded section: one stream of a binary range coder (bit-coder.ts), every decision under an adaptive model
 *   ..      rest   plain section: bytes as they are, taken in order by whoever in the coded section asks for them
 *
 * coded section:  topology (topology.ts), then for each tensor in the order the topology names them: coding (3 bits), contents (tensors.ts)
 * topology:       IR version, opsets, metadata, functions, then the graph: inputs, nodes, unread initialisers, outputs
 * reference:      0 absent, 1 the next initialiser, 2 something defined later, 3 + d: the name defined d before the last
 * tensor codings: see `codings` below
 */
export const magic = [0x50, 0x41, 0x52, 0x45] as const;
export const version = 1;
/** Where the checksummed part begins. */
export const checkedFrom = 9;

/** How a tensor's contents are kept, in the order of their codes. */
export const codings = [
  /** Plain: the bytes. */
  "raw",
  /** Coded: one element's bytes, for all elements. */
  "constant",
  /** Coded: a codebook of distinct values, then each element's place in it under mixed contexts (plane.ts). */
  "codebook",
  /** Coded: sign and exponent, and as many mantissa bits as are not noise; plain: the rest (floats.ts). */
  "floats",
  /** Plain: relative indices with filler zeros and codebook indices, both Huffman-coded (Han, Mao, Dally 2016; deep-compression.ts). */
  "deep-compression",
  /** Coded: byte strings. */
  "strings",
] as const;
export type Coding = (typeof codings)[number];
export const codingBits = 3;

/** Work and memory a file may ask for, in elements of tensors and parts of the graph (64 bytes of one value repeated are one): 4 M, and 2048 for each byte of the file. */
export const unitLimit = (fileBytes: number): number => (1 << 22) + (1 << 11) * fileBytes;

/** Words both sides know from the start, most usual first. */
export const usualWords: Readonly<Record<string, readonly string[]>> = {
  domain: ["", "ai.onnx.ml", "com.microsoft"],
  op: (
    "Gemm Relu Conv MaxPool Flatten Add MatMul BatchNormalization Reshape GlobalAveragePool Constant Transpose Concat Softmax Mul Sigmoid " +
    "Clip AveragePool Dropout Identity Unsqueeze Gather Slice Shape Cast Sub Div Squeeze Pad Resize ReduceMean Sqrt Pow Tanh LeakyRelu Split " +
    "Expand LayerNormalization Gelu Erf QuantizeLinear DequantizeLinear LSTM GRU ConvTranspose HardSwish HardSigmoid PRelu Elu InstanceNormalization " +
    "DepthToSpace ConstantOfShape Where Equal Range Tile ArgMax ReduceSum Exp Log Neg Min Max If Loop Scan LogSoftmax Upsample"
  ).split(" "),
  attribute: (
    "kernel_shape strides pads dilations group alpha beta transA transB axis epsilon momentum perm to axes keepdims value auto_pad ceil_mode " +
    "storage_order count_include_pad mode allowzero hidden_size direction activations linear_before_reset num_outputs then_branch else_branch body ratio"
  ).split(" "),
  string: ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "constant", "nearest", "linear", "forward", "bidirectional"],
  symbol: ["", "batch", "batch_size", "N"],
};
/** A text both sides have read before the first name. */
export const usualText =
  "input output input.1 data image images logits probabilities softmax batch_size sequence height width features.0.weight layer1.conv.bias fc1 classifier x y onnx::Conv_ label_names ";
