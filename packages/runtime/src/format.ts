/**
 * The .pare layout, version 1. Writer and reader import this file, and run the same models in both directions, so nothing is described twice.
 *
 *   offset  bytes  what
 *   0       4      "PARE"
 *   4       1      version: 1
 *   5       4      CRC-32 (IEEE) of all bytes that follow, little-endian
 *   9       1..5   n, LEB128
 *   ..      n      coded section: one stream of binary decisions through a 32-bit range coder (bit-coder.ts), each with a 16-bit probability
 *   ..      rest   plain section: bytes as they are, in the order in which the coded section asks for them
 *
 * The coded section is the topology (topology.ts), then the contents of every tensor (tensors.ts) in the order in which the topology named them.
 *   topology     IR version, opsets, metadata, functions, graph
 *   graph        are names kept?, inputs, initialisers that no node here reads first, nodes, outputs, shapes of inner values, what else was said
 *   node         operator, domain, attributes, inputs, outputs
 *   reference    0 absent; 1 a new definition (for an input: the next initialiser; its type and dims follow); 2 defined later; 3 + d: d before the last
 *   number       length in unary, then its bits; words are places in a list that grows, led by `usualWords`; texts end with a 0
 *   tensor       a coding (see `codings`), then:
 *     codebook   values in ascending order (codebook.ts), geometry: rows of columns that may be pixels (geometry.ts), then element by element:
 *                does it survive? (significance.ts) which side of the centre, how far from it? (values.ts)
 *     floats     zeros that end all mantissas; per element exponent, sign, two bits of mantissa (floats.ts)
 * All decisions are predicted by adaptive models (mixer.ts, adaptive.ts) that see what was coded before. They compute in float64 with + - * / and
 * tables alone (logistic.ts): every engine gets the same bits.
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
