// The trellis with 2 bits a weight: see `shared/trellis.wgsl`.
//#import formats/shared/trellis.wgsl
const BITS = 2u;
