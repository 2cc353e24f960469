// The trellis with 5 bits a weight: see `shared/trellis.wgsl`.
//#import formats/shared/trellis.wgsl
const BITS = 5u;
