// The trellis with 4 bits a weight: see `shared/trellis.wgsl`.
//#import formats/shared/trellis.wgsl
const BITS = 4u;
