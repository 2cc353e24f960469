// The trellis with 6 bits a weight: see `shared/trellis.wgsl`.
//#import formats/shared/trellis.wgsl
const BITS = 6u;
